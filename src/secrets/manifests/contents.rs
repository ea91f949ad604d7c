//! What is in one file of the folder.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::faults::{Fault, Place};
use crate::secrets::{Read, ReadError, Secret, SecretName, manifest};

/// How large a file may be, in bytes. `kubectl get -o yaml` writes some 4,000 Secrets into that.
const MAX_FILE: u64 = 4 << 20;

/// What the Secrets of all files may take in memory, in bytes.
pub(super) const MAX_MEMORY: usize = 20 << 20;

/// What is in one file.
pub(super) struct Contents {
    /// Its Secrets, or why nothing of it can be used.
    pub(super) secrets: Result<HashMap<SecretName, Found>, String>,
    /// What it takes in memory, in bytes.
    pub(super) weight: usize,
    /// What it would take at least, where there is no room for its Secrets.
    pub(super) needs: Option<usize>,
    /// What is wrong with some of its Secrets.
    faults: Vec<Fault>,
}

/// A Secret in a file.
pub(super) struct Found {
    pub(super) line: u64,
    pub(super) read: Read,
}

impl Contents {
    /// Reads an open file, if its Secrets take at most `room` bytes of memory. A folder holds
    /// nothing, whatever its name.
    ///
    /// # Errors
    /// Where the file system fails.
    pub(super) fn read(path: &Path, file: &File, room: usize) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(Self::holding_nothing());
        }
        let size = metadata.len();
        if size > MAX_FILE {
            return Ok(Self::unusable(format!(
                "{size} bytes, and a manifest has at most {MAX_FILE}: split it into several files"
            )));
        }
        // One byte more than there should be, so that the text is never copied to where nobody
        // zeroes it.
        let capacity = usize::try_from(size + 1).unwrap_or(usize::MAX);
        let mut text = Zeroizing::new(Vec::with_capacity(capacity));
        file.take(size + 1).read_to_end(&mut text)?;
        if text.len() == capacity {
            return Ok(Self::unusable("it grew while it was read".to_owned()));
        }
        Ok(Self::parse(path, &text, room))
    }

    fn parse(path: &Path, text: &[u8], room: usize) -> Self {
        let mut contents = Self::holding_nothing();
        let mut faults = FaultsOfFile::new(path);
        let parsed = manifest::each(text, &mut |entry| {
            contents.add(entry, &mut faults);
            contents.weight <= room
        });
        contents.faults = faults.into();
        match parsed {
            Ok(()) => contents,
            Err(_) if contents.weight > room => Self {
                needs: Some(contents.weight),
                ..Self::unusable(format!(
                    "no room for its Secrets: those of all files take at most {MAX_MEMORY} bytes \
                     of memory"
                ))
            },
            Err(error) => Self::unusable(error.to_string()),
        }
    }

    fn add(&mut self, entry: manifest::Entry, faults: &mut FaultsOfFile<'_>) {
        let Ok(secrets) = &mut self.secrets else { return };
        let manifest::Entry { name, line, secret } = entry;
        self.weight += weigh(&name, secret.as_ref().ok());
        let read = secret.map(Arc::new).map_err(|error| {
            faults.not_base64(&name, error.to_string());
            ReadError::InvalidData
        });
        match secrets.entry(name) {
            Slot::Vacant(slot) => {
                slot.insert(Found { line, read });
            }
            Slot::Occupied(mut slot) => {
                faults.twice(slot.key(), slot.get().line, line);
                slot.get_mut().read = Err(ReadError::DuplicateManifest);
            }
        }
    }

    /// What is wrong with the file at `path`.
    pub(super) fn faults(&self, path: &Path) -> Vec<Fault> {
        match &self.secrets {
            Ok(_) => self.faults.clone(),
            Err(error) => vec![Fault::File { file: path.to_owned(), error: error.clone() }],
        }
    }

    fn unusable(error: String) -> Self {
        Self { secrets: Err(error), weight: FILE, needs: None, faults: Vec::new() }
    }

    fn holding_nothing() -> Self {
        Self { secrets: Ok(HashMap::new()), weight: FILE, needs: None, faults: Vec::new() }
    }
}

/// The first fault of each kind in a file, which stands for the others too.
struct FaultsOfFile<'a> {
    path: &'a Path,
    entry: Option<Fault>,
    twice: Option<Fault>,
}

impl<'a> FaultsOfFile<'a> {
    fn new(path: &'a Path) -> Self {
        Self { path, entry: None, twice: None }
    }

    fn not_base64(&mut self, secret: &SecretName, error: String) {
        let file = self.path.to_owned();
        let fault = || Fault::Entry { file, secret: secret.clone(), error, more: 0 };
        count(&mut self.entry, fault);
    }

    fn twice(&mut self, secret: &SecretName, first: u64, second: u64) {
        let at = |line| Place { file: self.path.to_owned(), line };
        let (first, second) = (at(first), at(second));
        let fault = || Fault::Twice { secret: secret.clone(), first, second, more: 0 };
        count(&mut self.twice, fault);
    }
}

impl From<FaultsOfFile<'_>> for Vec<Fault> {
    fn from(faults: FaultsOfFile<'_>) -> Self {
        faults.entry.into_iter().chain(faults.twice).collect()
    }
}

/// Keeps the first fault, and counts the others.
fn count(slot: &mut Option<Fault>, fault: impl FnOnce() -> Fault) {
    match slot {
        Some(Fault::Entry { more, .. } | Fault::Twice { more, .. }) => *more += 1,
        slot => *slot = Some(fault()),
    }
}

/// What a file takes beside its Secrets, in bytes.
pub(super) const FILE: usize = 1024;

/// What a Secret takes in memory, in bytes: somewhat more than it really does.
fn weigh(name: &SecretName, secret: Option<&Secret>) -> usize {
    /// Itself, the places of its name and of what is found under it.
    const SECRET: usize = 320;
    let texts = text(name.name().len()) + text(name.namespace.as_str().len());
    let Some(secret) = secret else { return SECRET + texts };
    let labels = map(secret.labels.iter().map(|(key, value)| (key.len(), value.len())));
    let annotations = map(secret.annotations.iter().map(|(key, value)| (key.len(), value.len())));
    let entries = map(secret.entries.iter().map(|(key, value)| (key.len(), value.len())));
    SECRET + texts + text(secret.kind.len()) + labels + annotations + entries
}

/// A map from texts to texts, by their lengths.
fn map(lengths: impl ExactSizeIterator<Item = (usize, usize)>) -> usize {
    /// A node of a `BTreeMap`.
    const NODE: usize = 640;
    /// How many of its eleven places are taken where keys come in their order.
    const TAKEN: usize = 6;
    let nodes = lengths.len().div_ceil(TAKEN);
    nodes * NODE + lengths.map(|(key, value)| text(key) + text(value)).sum::<usize>()
}

/// An allocation of so many bytes.
fn text(length: usize) -> usize {
    length + 16
}
