//! What the log is told of.

use std::io::Write;

use super::*;

/// The log of a test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        let lines = lines.with_writer(move || writer.clone()).finish();
        (log, tracing::subscriber::set_default(lines))
    }

    /// The lines since the last call.
    fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    /// The one line since the last call, which must hold all of `parts`.
    fn one(&self, parts: &[&str]) -> String {
        let lines = self.lines();
        let [line] = &lines[..] else { panic!("{lines:?}") };
        for part in parts {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
        assert!(!line.contains("hunter2"), "{line}");
        line.clone()
    }
}

/// Looks until the file system is taken at its word, and once more.
fn look(subject: &Subject) {
    for _ in 0..3 {
        let _ = subject.settle("a");
    }
}

#[test]
fn a_fault_that_lasts_is_told_once_and_again_when_it_changes_or_comes_back() {
    let (log, _guard) = Log::start();
    let subject = Subject::new(A_TICK);
    subject.write("a.yaml", secret("a", "x"));
    subject.write("bad.yaml", "\n\n  {hunter2");
    look(&subject);
    let first = log.one(&["WARN", "a manifest cannot be read", "bad.yaml", "line 3"]);

    subject.write("a.yaml", secret("a", "other"));
    look(&subject);
    assert_eq!(log.lines(), [""; 0], "another file has changed");
    subject.write("bad.yaml", "\n\n\n  {hunter2");
    look(&subject);
    log.one(&["bad.yaml", "line 4"]);
    subject.write("bad.yaml", secret("b", "x"));
    look(&subject);
    assert_eq!(log.lines(), [""; 0], "all is well");
    subject.write("bad.yaml", "\n\n  {hunter2");
    look(&subject);
    assert_eq!(log.one(&[]), first);
}

#[test]
fn a_link_that_leads_nowhere_and_a_folder_that_is_gone_are_told_once() {
    let (log, _guard) = Log::start();
    let subject = Subject::new(A_TICK);
    symlink("nowhere", subject.path("a.yaml")).unwrap();
    for _ in 0..10 {
        let _ = subject.read("a");
    }
    log.one(&["a manifest cannot be read", "a.yaml", "No such file"]);
    fs::rename(subject.folder.path(), subject.folder.path().with_extension("away")).unwrap();
    for _ in 0..10 {
        let _ = subject.read("a");
    }
    fs::rename(subject.folder.path().with_extension("away"), subject.folder.path()).unwrap();
    log.one(&["the manifests' folder cannot be listed", "No such file"]);
}

#[test]
fn a_file_that_is_too_large_is_told_with_the_limit() {
    let (log, _guard) = Log::start();
    let subject = Subject::new(A_TICK);
    File::create(subject.path("a.yaml")).unwrap().set_len(300 << 20).unwrap();
    look(&subject);
    log.one(&["a manifest cannot be read", "a.yaml", "314572800", "at most 4194304"]);
}

#[test]
fn two_manifests_of_one_secret_are_told_with_both_files_and_lines() {
    let (log, _guard) = Log::start();
    let subject = Subject::new(A_TICK);
    let manifests = ["b", "a", "c"].map(|name| secret(name, "hunter2"));
    subject.write("one.yaml", manifests.join("---\n"));
    subject.write("two.yaml", manifests.join("---\n"));
    look(&subject);
    let parts = ["two manifests define one Secret", "default/a", "one.yaml", "two.yaml", "more=2"];
    log.one(&parts);
    fs::remove_file(subject.path("two.yaml")).unwrap();
    subject.write("one.yaml", [&manifests[..1], &manifests].concat().join("---\n"));
    look(&subject);
    log.one(&["two manifests define one Secret", "default/b", "one.yaml", "more=0"]);
}

#[test]
fn an_entry_that_is_not_base64_is_told_with_its_file_and_name() {
    let (log, _guard) = Log::start();
    let subject = Subject::new(A_TICK);
    let manifest = secret("jwt-token", "x").replace("stringData: {k: x}", "data: {token: hunter2}");
    subject.write("a.yaml", &manifest);
    look(&subject);
    assert_eq!(subject.look("jwt-token").err(), Some(ReadError::InvalidData));
    let parts = ["an entry of a Secret is not base64", "a.yaml", "jwt-token", "data.token"];
    log.one(&parts);
}

#[test]
fn a_name_forges_no_line() {
    let (log, _guard) = Log::start();
    let subject = Subject::new(A_TICK);
    subject.write("a\nWARN forged\u{1b}.yaml", secret("a", "x"));
    subject.write("b.yaml", secret("a", "x"));
    look(&subject);
    log.one(&[r"a\nWARN forged\u{1b}.yaml"]);
}
