//! What lies in the folder and is too much, or no file.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// A file of one Secret with a large value.
fn large(name: &str, size: usize) -> String {
    secret(name, &"x".repeat(size))
}

#[test]
fn a_file_beyond_the_limit_is_unreadable_and_harms_no_other() {
    const LIMIT: usize = 4 << 20;
    let subject = Subject::new(SETTLED);
    subject.write("a.yaml", secret("a", "there"));
    let mut padded = secret("b", "there") + "# ";
    padded.push_str(&"x".repeat(LIMIT - padded.len()));
    subject.write("b.yaml", &padded);
    assert_eq!(subject.read("b").as_deref(), Ok("there"), "a file of the limit's size");
    padded.push('x');
    subject.write("b.yaml", &padded);
    assert_eq!(subject.read("b"), Err(ReadError::UnreadableManifest), "one byte more");
    // Nobody could read as much as this.
    File::create(subject.path("b.yaml")).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(subject.read("b"), Err(ReadError::UnreadableManifest));
    assert_eq!(subject.read("a").as_deref(), Ok("there"));
    fs::remove_file(subject.path("b.yaml")).unwrap();
    assert_eq!(subject.read("b"), Err(ReadError::NotFound));
}

#[test]
fn what_is_no_file_is_unreadable_at_once() {
    let subject = Subject::new(SETTLED);
    subject.write("a.yaml", secret("a", "there"));
    let bad = subject.path("bad.yaml");
    let unreadable = |what: &str| {
        assert_eq!(subject.read("a").as_deref(), Ok("there"), "{what}");
        assert_eq!(subject.read("b"), Err(ReadError::UnreadableManifest), "{what}");
        fs::remove_file(&bad).unwrap();
    };
    mknodat(CWD, &bad, FileType::Fifo, Mode::RUSR, 0).unwrap();
    unreadable("a FIFO that nobody writes to");
    let socket = UnixListener::bind(&bad).unwrap();
    unreadable("a socket");
    drop(socket);
    for target in ["/dev/zero", "/dev/null", "/dev/tty", "/proc/self/mem", "/proc/self/maps"] {
        symlink(target, &bad).unwrap();
        unreadable(target);
    }
}

#[test]
fn secrets_for_which_there_is_no_room_are_unreadable_until_others_go() {
    let subject = Subject::new(A_TICK);
    // Seven of these are more than there is room for.
    for file in 1..=7 {
        let mut several = String::new();
        for part in 1..=3 {
            write!(several, "---\n{}", large(&format!("s{file}-{part}"), 1 << 20)).unwrap();
        }
        subject.write(&format!("{file}.yaml"), several);
    }
    for present in ["s1-1", "s6-3"] {
        assert!(subject.read(present).is_ok(), "{present}");
    }
    assert_eq!(subject.read("s7-1"), Err(ReadError::UnreadableManifest));
    assert_eq!(subject.read("missing"), Err(ReadError::UnreadableManifest));
    let _ = subject.settle("s7-1");

    // What is there already stays, whatever is written beside it.
    subject.write("0.yaml", large("s0", 3 << 20));
    assert_eq!(subject.read("s0"), Err(ReadError::UnreadableManifest));
    assert!(subject.read("s6-3").is_ok());
    fs::remove_file(subject.path("0.yaml")).unwrap();

    fs::remove_file(subject.path("3.yaml")).unwrap();
    assert!(subject.read("s7-1").is_ok());
    assert_eq!(subject.read("s3-1"), Err(ReadError::NotFound));
}

#[test]
fn a_folder_of_too_many_files_is_unreadable() {
    let subject = Subject::new(SETTLED);
    subject.write("0.yaml", secret("a", "there"));
    for file in 1..10_000 {
        symlink("0.txt", subject.path(&format!("{file}.yaml"))).unwrap();
    }
    assert_eq!(subject.read("a").as_deref(), Ok("there"));
    symlink("0.txt", subject.path("10000.yaml")).unwrap();
    assert_eq!(subject.read("a"), Err(ReadError::UnreadableManifest));
}
