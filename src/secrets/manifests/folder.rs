//! A folder of manifests, kept as it was when it was last looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use rustix::fs::Dir;
use zeroize::Zeroizing;

use super::stamped::{A_TICK, Seen, Stamped};
use crate::secrets::{Read, ReadError, SecretName, manifest};

/// How often the folder is read while its files change under the reading.
const ATTEMPTS: usize = 3;

/// How many files are asked after on a thread that serves requests: some microseconds for each.
const FEW_FILES: usize = 100;

/// A folder, and the last look at it.
pub(super) struct Folder {
    path: PathBuf,
    settled: Duration,
    last: ArcSwap<Look>,
    looking: Mutex<()>,
}

/// All that was in the folder.
struct Look {
    /// When the folder was last asked, and held all of this.
    asked: Mutex<Instant>,
    listed: Stamped<Vec<PathBuf>>,
    /// `None` for a file that could not be read.
    files: BTreeMap<PathBuf, Option<Arc<Manifest>>>,
    /// What has changed while all of this was read, or may have.
    torn: BTreeSet<PathBuf>,
}

/// What is in one file, or `None` where that is not to be understood.
type Manifest = Stamped<Option<Secrets>>;

type Secrets = HashMap<SecretName, Read>;

impl Folder {
    /// Looks at the folder for the first time. A stamp that was seen for as long as `settled`
    /// tells of each change.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub(super) fn open(path: PathBuf, settled: Duration) -> io::Result<Self> {
        let look = Look::new(&path, settled, None)?;
        Ok(Self { path, settled, last: ArcSwap::from_pointee(look), looking: Mutex::new(()) })
    }

    /// The Secret as it was at the last look, if the folder, asked after `arrived`, still is as it
    /// was then: that takes one `stat` of the folder and one of each file.
    pub(super) fn unchanged(&self, name: &SecretName, arrived: Instant) -> Option<Read> {
        let last = self.last.load();
        let few = last.files.len() <= FEW_FILES;
        (few && last.stands(&self.path, arrived)).then(|| last.find(name))
    }

    /// The Secret by a look at what has changed, if it has. Of callers that wait for one another,
    /// one looks for all who arrived before it began.
    pub(super) fn look(&self, name: &SecretName, arrived: Instant) -> Read {
        let _one_at_a_time = lock(&self.looking);
        let mut last = self.last.load_full();
        if !last.stands(&self.path, arrived) {
            let look = Look::new(&self.path, self.settled, Some(&last)).map_err(|error| {
                let folder = self.path.display();
                tracing::warn!(%folder, %error, "the manifests' folder cannot be listed");
                ReadError::UnreadableManifest
            })?;
            last = Arc::new(look);
            self.last.store(Arc::clone(&last));
        }
        last.find(name)
    }
}

impl Look {
    /// Reads what has changed since `before`, again if it changes meanwhile.
    fn new(folder: &Path, settled: Duration, before: Option<&Self>) -> io::Result<Self> {
        // For all attempts: what is kept from the first one is as old as that.
        let asked = Instant::now();
        let mut look = Self::once(folder, settled, asked, before, Seen::is_current)?;
        for _ in 1..ATTEMPTS {
            if look.torn.is_empty() {
                break;
            }
            thread::sleep(A_TICK);
            // Let go before it is read again: it may be large.
            look.files.retain(|path, _| !look.torn.contains(path));
            look = Self::once(folder, settled, asked, Some(&look), Seen::is_at)?;
        }
        Ok(look)
    }

    /// Reads all files but those that are `unchanged` since `before`.
    fn once(
        folder: &Path,
        settled: Duration,
        asked: Instant,
        before: Option<&Self>,
        unchanged: fn(&Seen, &Path) -> bool,
    ) -> io::Result<Self> {
        // Compared with the file system's times.
        let began = SystemTime::now();
        let listed = before.map(|before| &before.listed);
        let listed = Stamped::read(folder, listed, settled, |open| list(folder, open))?;
        let mut files = BTreeMap::new();
        for path in &listed.value {
            let before = before.and_then(|before| before.files.get(path)?.clone());
            let read = match before {
                Some(before) if unchanged(&before.seen, path) => Ok(before),
                before => read_file(path, before.as_deref(), settled),
            };
            files.insert(path.clone(), read.map_err(|error| warn(path, &error)).ok());
        }
        let look = Self { asked: Mutex::new(asked), listed, files, torn: BTreeSet::new() };
        let torn = look
            .seen(folder)
            .filter(|(path, seen)| seen.may_hide_a_change_since(began) || !seen.is_at(path))
            .map(|(path, _)| path.to_owned())
            .collect();
        Ok(Self { torn, ..look })
    }

    /// What was read, and from where.
    fn seen<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = (&'a Path, &'a Seen)> {
        let files = self.files.iter();
        let files = files.filter_map(|(path, file)| Some((path.as_path(), &file.as_ref()?.seen)));
        iter::once((folder, &self.listed.seen)).chain(files)
    }

    /// Whether the folder holds all of this at some instant after `arrived`. Callers that arrived
    /// before one of them asks share its answer.
    fn stands(&self, folder: &Path, arrived: Instant) -> bool {
        let mut asked = lock(&self.asked);
        if *asked < arrived {
            let now = Instant::now();
            let readable = self.files.values().all(Option::is_some);
            if !readable || !self.seen(folder).all(|(path, seen)| seen.is_current(path)) {
                return false;
            }
            *asked = now;
        }
        true
    }

    fn find(&self, name: &SecretName) -> Read {
        let (mut found, mut unreadable) = (None, !self.torn.is_empty());
        for manifest in self.files.values() {
            let secrets = manifest.as_ref().and_then(|manifest| manifest.value.as_ref());
            unreadable |= secrets.is_none();
            let secret = secrets.and_then(|secrets| secrets.get(name));
            if found.is_some() && secret.is_some() {
                // One that was moved meanwhile may have been seen in both places, or in none.
                let moved = if self.torn.is_empty() {
                    ReadError::DuplicateManifest
                } else {
                    ReadError::UnreadableManifest
                };
                return Err(moved);
            }
            found = found.or(secret);
        }
        match found {
            Some(secret) => secret.clone(),
            None if unreadable => Err(ReadError::UnreadableManifest),
            None => Err(ReadError::NotFound),
        }
    }
}

/// The paths in a folder that count by their names.
fn list(path: &Path, folder: &File) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = Path::new(OsStr::from_bytes(entry.file_name().to_bytes()));
        let hidden = name.as_os_str().as_bytes().starts_with(b".");
        let extension = name.extension().and_then(OsStr::to_str);
        if !hidden && matches!(extension, Some("yaml" | "yml" | "json")) {
            paths.push(path.join(name));
        }
    }
    Ok(paths)
}

fn read_file(
    path: &Path,
    before: Option<&Manifest>,
    settled: Duration,
) -> io::Result<Arc<Manifest>> {
    let read = |file: &File| read_secrets(path, file);
    Ok(Arc::new(Stamped::read(path, before, settled, read)?))
}

fn read_secrets(path: &Path, mut file: &File) -> io::Result<Option<Secrets>> {
    if file.metadata()?.is_dir() {
        return Ok(Some(Secrets::new()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)?;
    let parsed = manifest::parse(&bytes).map_err(io::Error::other);
    Ok(parsed.map(by_name).map_err(|error| warn(path, &error)).ok())
}

fn by_name(entries: Vec<manifest::Entry>) -> Secrets {
    let mut secrets = Secrets::with_capacity(entries.len());
    for manifest::Entry { name, secret, .. } in entries {
        let secret = secret.map_err(|_| ReadError::InvalidData);
        secrets
            .entry(name)
            .and_modify(|secret| *secret = Err(ReadError::DuplicateManifest))
            .or_insert_with(|| secret.map(Arc::new));
    }
    secrets
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn warn(path: &Path, error: &io::Error) {
    // As a text, so that what people read has the name quoted.
    let file = path.display().to_string();
    tracing::warn!(file, %error, "a manifest cannot be read");
}
