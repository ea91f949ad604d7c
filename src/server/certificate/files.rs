//! Reading the two files, whatever stands in their place.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use zeroize::Zeroizing;

use super::{CertificateError, CertificateFiles};

/// How large a file may be: Kubernetes stores no larger Secret.
const MAX_FILE: u64 = 1 << 20;

/// How long both files may take: their file system may be one of a network, or a dead one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the files hold. The chain is zeroed too: somebody may have put the key there.
#[derive(PartialEq, Eq)]
pub struct Contents {
    pub chain: Zeroizing<Vec<u8>>,
    pub key: Zeroizing<Vec<u8>>,
}

/// Reads the files on a thread of their own, of which there is at most one: a read that hangs
/// blocks nobody else, and is neither abandoned nor repeated.
#[derive(Default)]
pub struct Reader(Patient<Result<Contents, CertificateError>>);

impl Reader {
    /// What the files hold.
    pub fn read(&self, files: &CertificateFiles) -> Result<Contents, CertificateError> {
        let these = files.clone();
        let read = move || Ok(Contents { chain: read(&these.chain)?, key: read(&these.key)? });
        self.0
            .run(PATIENCE, read)
            .unwrap_or_else(|error| Err(CertificateError::Stalled { files: files.clone(), error }))
    }
}

/// Runs something on a thread and waits for it, but not for ever.
struct Patient<T>(Mutex<Option<Receiver<T>>>);

impl<T> Default for Patient<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Send + 'static> Patient<T> {
    /// What `work` gives. If the one before has not ended yet, its outcome is awaited in place of
    /// beginning another.
    fn run(&self, patience: Duration, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = match under_way.take() {
            Some(outcome) => outcome,
            None => {
                let (done, outcome) = sync_channel(1);
                // Nobody waits for it if the process ends.
                let send = move || drop(done.send(work()));
                thread::Builder::new().name("certificate".to_owned()).spawn(send)?;
                outcome
            }
        };
        outcome.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                *under_way = Some(outcome);
                let seconds = patience.as_secs();
                let hangs =
                    format!("no answer within {seconds} s; is their file system reachable?");
                io::Error::new(io::ErrorKind::TimedOut, hangs)
            }
            RecvTimeoutError::Disconnected => io::Error::other("the reading thread has failed"),
        })
    }
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    read_regular(file).map_err(|error| CertificateError::Read { file: file.to_owned(), error })
}

/// Reads a regular file. To open a FIFO without a writer would block for ever, were it not for the
/// flag.
fn read_regular(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(file, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let kind = match metadata.file_type() {
            kind if kind.is_dir() => "a directory",
            kind if kind.is_fifo() => "a FIFO",
            _ => "a device",
        };
        return Err(io::Error::other(format!("it is {kind}, and must be a regular file")));
    }
    // Room for all of it at once: a buffer that grows would leave copies of the key behind.
    let room = usize::try_from(metadata.len().min(MAX_FILE)).unwrap_or_default() + 1;
    let mut contents = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_FILE + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};

    use rustix::fs::{FileType, mknodat};

    use super::*;

    #[test]
    fn work_that_hangs_is_awaited_and_not_begun_again() {
        let patient = Patient::default();
        let (go_on, waits) = mpsc::channel::<()>();
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        let hangs = move || {
            counted.fetch_add(1, Ordering::SeqCst);
            waits.recv().is_ok()
        };
        let moment = Duration::from_millis(10);
        assert_eq!(patient.run(moment, hangs).unwrap_err().kind(), io::ErrorKind::TimedOut);
        for _ in 0..20 {
            let error = patient.run(moment, || panic!("a second one")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        }
        go_on.send(()).unwrap();
        assert!(patient.run(PATIENCE, || false).unwrap(), "the outcome of the first");
        assert!(!patient.run(PATIENCE, || false).unwrap(), "and then a new one");
        assert_eq!(begun.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn work_that_panics_ends_nothing() {
        let patient = Patient::default();
        assert!(patient.run(PATIENCE, || -> bool { panic!("a test") }).is_err());
        assert!(patient.run(PATIENCE, || true).unwrap());
    }

    #[test]
    fn what_is_no_file_of_a_fitting_size_is_named_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let fifo = Mode::RUSR | Mode::WUSR;
        mknodat(rustix::fs::CWD, path("fifo"), FileType::Fifo, fifo, 0).unwrap();
        File::create(path("huge")).unwrap().set_len(1 << 40).unwrap();
        fs::write(path("largest"), vec![b'x'; MAX_FILE as usize]).unwrap();
        for (file, says) in [
            ("fifo", "it is a FIFO"),
            (".", "it is a directory"),
            ("/dev/zero", "it is a device"),
            ("huge", "larger than 1 MiB"),
            ("missing", "No such file"),
        ] {
            let error = read(&path(file)).unwrap_err().to_string();
            assert!(error.contains(says), "{file}: {error}");
        }
        assert_eq!(read(&path("largest")).unwrap().len(), MAX_FILE as usize);
    }
}
