//! A folder of manifests, kept as it was when it was last looked at.

use std::collections::hash_map::Entry as Slot;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::Dir;

use super::contents::{Contents, FILE, MAX_MEMORY};
use super::faults::{Fault, Place, Told};
use super::looker::Look;
use super::stamped::{A_TICK, Seen, Stamped};
use crate::secrets::{Read, ReadError, SecretName};

/// How often the folder is read while its files change under the reading.
const ATTEMPTS: usize = 3;

/// How many manifests a folder may hold: each costs a `stat` at each look.
const MAX_FILES: usize = 10_000;

/// A folder, and all that was in it when it was last looked at.
pub(super) struct Folder {
    path: PathBuf,
    settled: Duration,
    listed: Option<Seen>,
    /// By their paths: what was read, or why the file system did not let it be read.
    files: BTreeMap<PathBuf, Result<Manifest, String>>,
    /// What has changed while all of this was read, or may have.
    torn: BTreeSet<PathBuf>,
    told: Told,
}

type Manifest = Stamped<Contents>;

impl Folder {
    /// Looks at the folder for the first time. A stamp that was seen for as long as `settled`
    /// tells of each change.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub(super) fn open(path: PathBuf, settled: Duration) -> io::Result<Self> {
        let (files, torn, told) = Default::default();
        let mut folder = Self { path, settled, listed: None, files, torn, told };
        folder.read()?;
        Ok(folder)
    }

    /// Whether the folder still holds all of this: that takes one `stat` of the folder and one of
    /// each file.
    pub(super) fn is_current(&self) -> bool {
        self.listed.is_some()
            && self.torn.is_empty()
            && self.files.values().all(Result::is_ok)
            && self.seen().all(|(path, seen)| seen.is_current(path))
    }

    /// What was read, and from where.
    fn seen(&self) -> impl Iterator<Item = (&Path, &Seen)> {
        let folder = self.listed.iter().map(|seen| (self.path.as_path(), seen));
        let files = self.files.iter();
        folder.chain(files.filter_map(|(path, file)| Some((&**path, &file.as_ref().ok()?.seen))))
    }

    /// Reads what has changed, again if it changes meanwhile.
    fn read(&mut self) -> io::Result<()> {
        self.read_once(Seen::is_current)?;
        for _ in 1..ATTEMPTS {
            if self.torn.is_empty() {
                break;
            }
            thread::sleep(A_TICK);
            self.read_once(Seen::is_at)?;
        }
        self.tell();
        Ok(())
    }

    /// Reads all files but those that are `unchanged` and were not torn.
    fn read_once(&mut self, unchanged: fn(&Seen, &Path) -> bool) -> io::Result<()> {
        // Compared with the file system's times.
        let began = SystemTime::now();
        let list = |open: &File| list(&self.path, open);
        let listed = Stamped::read(&self.path, self.listed.as_ref(), self.settled, list)?;
        self.listed = Some(listed.seen);
        let changed = self.let_go(listed.value, unchanged);
        let mut room = self.room();
        for (path, before) in changed {
            let read = |file: &File| Contents::read(&path, file, room);
            let read = Stamped::read(&path, before.as_ref(), self.settled, read);
            let read = read.map_err(|error| error.to_string());
            room = room.saturating_sub(taken(&read));
            self.files.insert(path, read);
        }
        let torn = self
            .seen()
            .filter(|(path, seen)| seen.may_hide_a_change_since(began) || !seen.is_at(path));
        self.torn = torn.map(|(path, _)| path.to_owned()).collect();
        Ok(())
    }

    /// Drops what has changed, before anything is read: both together may be large. Returns what
    /// is to be read.
    fn let_go(
        &mut self,
        listed: Vec<PathBuf>,
        unchanged: fn(&Seen, &Path) -> bool,
    ) -> Vec<(PathBuf, Option<Seen>)> {
        let mut before = mem::take(&mut self.files);
        let mut changed = Vec::new();
        for path in listed {
            match before.remove(&path) {
                Some(Ok(file)) if !self.torn.contains(&path) && unchanged(&file.seen, &path) => {
                    self.files.insert(path, Ok(file));
                }
                file => changed.push((path, file.and_then(Result::ok).map(|file| file.seen))),
            }
        }
        let room = self.room();
        let fits = |file: &Manifest| file.value.needs.is_some_and(|needs| needs <= room);
        self.files.retain(|path, file| {
            let fits = file.as_ref().is_ok_and(fits);
            if fits {
                changed.push((path.clone(), None));
            }
            !fits
        });
        changed
    }

    /// How many bytes of memory there are for further Secrets.
    fn room(&self) -> usize {
        MAX_MEMORY.saturating_sub(self.files.values().map(taken).sum())
    }

    /// Tells the log what is wrong now.
    fn tell(&mut self) {
        let still = self.files.iter().filter(|(path, _)| !self.torn.contains(*path));
        let faults = still.flat_map(|(path, file)| match file {
            Ok(file) => file.value.faults(path),
            Err(error) => vec![Fault::File { file: path.clone(), error: error.clone() }],
        });
        let mut faults: BTreeSet<_> = faults.collect();
        if self.torn.is_empty() {
            faults.extend(self.twice());
            self.told.all(faults);
        } else {
            // One that was moved meanwhile may have been seen in both places.
            self.told.some(faults);
        }
    }

    /// The Secrets that two files define.
    fn twice(&self) -> Vec<Fault> {
        let mut first = HashMap::new();
        let mut pairs: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for (path, file) in &self.files {
            let secrets = file.as_ref().ok().and_then(|file| file.value.secrets.as_ref().ok());
            for (name, found) in secrets.into_iter().flatten() {
                match first.entry(name) {
                    Slot::Vacant(slot) => {
                        slot.insert((path, found.line));
                    }
                    Slot::Occupied(slot) => {
                        let (other, line) = *slot.get();
                        pairs.entry((other, path)).or_default().insert(name, (line, found.line));
                    }
                }
            }
        }
        pairs
            .into_iter()
            .filter_map(|((first, second), secrets)| {
                let (secret, lines) = secrets.first_key_value()?;
                let at = |file: &Path, line| Place { file: file.to_owned(), line };
                let (first, second) = (at(first, lines.0), at(second, lines.1));
                Some(Fault::Twice {
                    secret: (*secret).clone(),
                    first,
                    second,
                    more: secrets.len() - 1,
                })
            })
            .collect()
    }
}

impl Look for Folder {
    fn look(&mut self) -> Result<(), ReadError> {
        if self.is_current() {
            return Ok(());
        }
        self.read().map_err(|error| {
            let (folder, error) = (self.path.clone(), error.to_string());
            self.told.some(BTreeSet::from([Fault::Folder { folder, error }]));
            ReadError::UnreadableManifest
        })
    }

    fn find(&self, name: &SecretName) -> Read {
        let (mut found, mut unreadable) = (None, !self.torn.is_empty());
        for file in self.files.values() {
            let secrets = file.as_ref().ok().and_then(|file| file.value.secrets.as_ref().ok());
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
            Some(found) => found.read.clone(),
            None if unreadable => Err(ReadError::UnreadableManifest),
            None => Err(ReadError::NotFound),
        }
    }

    fn forget(&mut self) {
        self.listed = None;
        self.files.clear();
    }
}

/// What a file takes of the memory for all of them.
fn taken(file: &Result<Manifest, String>) -> usize {
    file.as_ref().map_or(FILE, |file| file.value.weight)
}

/// The paths in a folder that count by their names, in order.
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
        if paths.len() > MAX_FILES {
            return Err(io::Error::other(format!("it holds more than {MAX_FILES} manifests")));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}
