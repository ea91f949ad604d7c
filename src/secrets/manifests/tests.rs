mod bounds;
mod told;

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use super::folder::Folder;
use super::looker::Look;
use super::stamped::{A_TICK, SETTLED};
use super::*;
use crate::secrets::{Namespace, ReadError};

/// A folder of a test, and the source over it.
struct Subject {
    folder: TempDir,
    source: Mutex<Folder>,
}

impl Subject {
    fn new(settled: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Mutex::new(Folder::open(folder.path().to_owned(), settled).unwrap());
        Self { folder, source }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(file), content).unwrap();
    }

    /// Writes a new file and renames it over another.
    fn replace(&self, file: &str, content: impl AsRef<[u8]>) {
        self.write("new", content);
        fs::rename(self.path("new"), self.path(file)).unwrap();
    }

    fn read(&self, name: &str) -> Result<String, ReadError> {
        let secret = self.look(name)?;
        Ok(String::from_utf8_lossy(&secret.entries["k"]).into_owned())
    }

    fn look(&self, name: &str) -> Read {
        let mut source = self.source.lock().unwrap();
        source.look().and_then(|()| source.find(&secret_name(name)))
    }

    /// Whether the source takes the file system's word for it that nothing has changed.
    fn is_settled(&self) -> bool {
        self.source.lock().unwrap().is_current()
    }

    /// Reads until it does.
    fn settle(&self, name: &str) -> Read {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.is_settled() {
            assert!(Instant::now() < deadline, "{name} does not settle");
            let _ = self.look(name);
        }
        self.look(name)
    }
}

fn secret_name(name: &str) -> SecretName {
    SecretName::parse(name, &"default".parse::<Namespace>().unwrap()).unwrap()
}

fn secret(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{k: {value}}}\n"
    )
}

fn set_modified(file: &Path, time: SystemTime) {
    File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

#[test]
fn each_read_sees_the_folder_as_it_is_now() {
    let subject = Subject::new(SETTLED);
    assert_eq!(subject.read("a"), Err(ReadError::NotFound));
    for value in ["one", "two"] {
        subject.write("a.yaml", secret("a", value));
        assert_eq!(subject.read("a").as_deref(), Ok(value));
    }
    fs::remove_file(subject.path("a.yaml")).unwrap();
    assert_eq!(subject.read("a"), Err(ReadError::NotFound));
}

#[test]
fn edits_of_the_same_size_within_a_second_are_seen() {
    let subject = Subject::new(SETTLED);
    let before = SystemTime::now();
    for edit in 100..200 {
        subject.write("a.yaml", secret("a", &format!("v{edit}")));
        // Like a file system with timestamps of a day.
        set_modified(&subject.path("a.yaml"), before);
        assert_eq!(subject.read("a"), Ok(format!("v{edit}")));
        assert_eq!(subject.read("a"), Ok(format!("v{edit}")));
    }
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let subject = Subject::new(A_TICK);
    subject.write("a.yaml", secret("a", "one"));
    subject.write("b.yaml", secret("b", "one"));
    let settled = |name| subject.settle(name).unwrap();
    let (a, b) = (settled("a"), settled("b"));
    assert!(Arc::ptr_eq(&a, &settled("a")));
    subject.replace("b.yaml", secret("b", "other"));
    assert!(!Arc::ptr_eq(&b, &settled("b")));
    assert!(Arc::ptr_eq(&a, &settled("a")), "the other file was read again");
}

#[test]
fn what_has_just_changed_is_read_each_time() {
    let subject = Subject::new(SETTLED);
    subject.write("a.yaml", secret("a", "one"));
    for _ in 0..3 {
        assert_eq!(subject.read("a").as_deref(), Ok("one"));
        assert!(!subject.is_settled());
    }
}

#[test]
fn changes_of_a_settled_folder_are_seen() {
    let subject = Subject::new(A_TICK);
    subject.write("a.yaml", secret("a", "one"));
    let _ = subject.settle("a");
    let modified = fs::metadata(subject.path("a.yaml")).unwrap().modified().unwrap();

    subject.replace("a.yaml", secret("a", "two"));
    set_modified(&subject.path("a.yaml"), modified);
    assert_eq!(subject.read("a").as_deref(), Ok("two"), "a file renamed over it");
    let _ = subject.settle("a");

    subject.write("a.yaml", secret("a", "six"));
    set_modified(&subject.path("a.yaml"), modified + Duration::from_secs(3600));
    assert_eq!(subject.read("a").as_deref(), Ok("six"), "an edit in place");
    let _ = subject.settle("a");

    subject.write("b.yaml", secret("b", "new"));
    assert_eq!(subject.read("b").as_deref(), Ok("new"), "another file");
    let _ = subject.settle("b");

    fs::remove_file(subject.path("a.yaml")).unwrap();
    assert_eq!(subject.read("a"), Err(ReadError::NotFound), "a file removed");
    let _ = subject.settle("b");

    fs::rename(subject.path("b.yaml"), subject.path("b.txt")).unwrap();
    assert_eq!(subject.read("b"), Err(ReadError::NotFound), "a file renamed away");
}

#[test]
fn links_are_followed_as_kubelet_mounts_and_swaps_them() {
    let subject = Subject::new(A_TICK);
    for value in ["one", "two"] {
        fs::create_dir(subject.path(&format!("..{value}"))).unwrap();
        subject.write(&format!("..{value}/a.yaml"), secret("a", value));
    }
    let swap = |target: &str| {
        symlink(target, subject.path("..data_tmp")).unwrap();
        fs::rename(subject.path("..data_tmp"), subject.path("..data")).unwrap();
    };
    swap("..one");
    symlink("..data/a.yaml", subject.path("a.yaml")).unwrap();
    for value in ["one", "two", "one", "two"] {
        swap(&format!("..{value}"));
        assert_eq!(subject.read("a").as_deref(), Ok(value));
        let _ = subject.settle("a");
    }
}

#[test]
fn a_read_that_begins_after_a_change_sees_it() {
    let subject = Subject::new(SETTLED);
    subject.write("a.yaml", secret("a", "v0"));
    let (written, reads) = (AtomicU32::new(0), AtomicU32::new(0));
    let read = || {
        while reads.fetch_add(1, Ordering::SeqCst) < 100 {
            let at_least = written.load(Ordering::SeqCst);
            let value = subject.read("a").unwrap();
            assert!(value[1..].parse::<u32>().unwrap() >= at_least, "{value} after {at_least}");
        }
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        for edit in 1.. {
            if readers.iter().all(ScopedJoinHandle::is_finished) {
                break;
            }
            subject.replace("a.yaml", secret("a", &format!("v{edit}")));
            written.store(edit, Ordering::SeqCst);
        }
    });
}

#[test]
fn only_manifests_directly_in_the_folder_count() {
    let subject = Subject::new(SETTLED);
    fs::create_dir(subject.path("..data")).unwrap();
    fs::create_dir(subject.path("folder.yaml")).unwrap();
    for hidden in [".a.yaml", "..data/a.yaml", "folder.yaml/a.yaml", "a.yaml.bak", "a.txt"] {
        subject.write(hidden, secret("a", "hidden"));
    }
    assert_eq!(subject.read("a"), Err(ReadError::NotFound));
    for name in ["a.yaml", "b.yml", "c.json"] {
        subject.write(name, secret(&name[..1], "shown"));
        assert_eq!(subject.read(&name[..1]).as_deref(), Ok("shown"));
    }
}

#[test]
fn beside_an_unreadable_file_nothing_is_said_to_be_missing() {
    let subject = Subject::new(SETTLED);
    subject.write("a.yaml", secret("a", "there"));
    for content in [&b"{"[..], b"", b"\xff\xfe", b"kind: Secret\napiVersion: v1\n"] {
        subject.write("bad.yaml", content);
        assert_eq!(subject.read("a").as_deref(), Ok("there"));
        assert_eq!(subject.read("b"), Err(ReadError::UnreadableManifest));
    }
    for target in ["nowhere", "/dev/zero"] {
        fs::remove_file(subject.path("bad.yaml")).unwrap();
        symlink(target, subject.path("bad.yaml")).unwrap();
        assert_eq!(subject.read("a").as_deref(), Ok("there"));
        assert_eq!(subject.read("b"), Err(ReadError::UnreadableManifest));
    }
}

#[test]
fn an_unreadable_file_that_has_settled_is_still_unreadable() {
    let subject = Subject::new(A_TICK);
    subject.write("bad.yaml", "{");
    assert_eq!(subject.settle("a").err(), Some(ReadError::UnreadableManifest));
    subject.replace("bad.yaml", secret("a", "good"));
    assert_eq!(subject.read("a").as_deref(), Ok("good"));
}

#[test]
fn a_secret_that_moves_from_file_to_file_is_never_missing() {
    let subject = Subject::new(SETTLED);
    let moving = secret("a", "moves");
    subject.replace("1.yaml", &moving);
    for other in 2..40 {
        subject.replace(&format!("{other}.yaml"), secret(&format!("s{other}"), "x"));
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for (to, from) in [("99.yaml", "1.yaml"), ("1.yaml", "99.yaml")] {
                    subject.replace(to, &moving);
                    subject.replace(from, "# nothing");
                    thread::yield_now();
                }
            }
        });
        let missing = (0..100).any(|_| subject.read("a") == Err(ReadError::NotFound));
        done.store(true, Ordering::Relaxed);
        assert!(!missing);
    });
}

#[test]
fn two_manifests_of_one_secret_are_an_error() {
    let subject = Subject::new(SETTLED);
    subject.write("a.yaml", secret("a", "x"));
    subject.write("b.yaml", secret("a", "x"));
    assert_eq!(subject.read("a"), Err(ReadError::DuplicateManifest));
    fs::remove_file(subject.path("b.yaml")).unwrap();
    assert_eq!(subject.read("a").as_deref(), Ok("x"));
    subject.write("a.yaml", format!("{}---\n{0}", secret("a", "x")));
    assert_eq!(subject.read("a"), Err(ReadError::DuplicateManifest));
}

#[test]
fn a_folder_that_is_gone_is_no_empty_folder() {
    let subject = Subject::new(SETTLED);
    fs::remove_dir(subject.folder.path()).unwrap();
    assert_eq!(subject.read("a"), Err(ReadError::UnreadableManifest));
    assert!(Manifests::open(subject.folder.path().to_owned()).is_err());
}
