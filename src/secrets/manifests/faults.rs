//! What is wrong in a folder, told once for as long as it lasts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::secrets::SecretName;

/// The faults that the log was told of, and that were not seen to be over since.
#[derive(Default)]
pub(super) struct Told(BTreeSet<Fault>);

/// Something that an operator must fix. It holds names and positions, and no byte of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The folder cannot be listed.
    Folder { folder: PathBuf, error: String },
    /// A file of which nothing can be used.
    File { file: PathBuf, error: String },
    /// An entry that is not base64, and how many further Secrets of the file have such entries.
    Entry { file: PathBuf, secret: SecretName, error: String, more: usize },
    /// Two manifests of one Secret, and how many further Secrets these files define twice.
    Twice { secret: SecretName, first: Place, second: Place, more: usize },
}

/// Where a manifest begins; line 0 is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: PathBuf,
    pub(super) line: u64,
}

impl Told {
    /// Tells of those among `faults` that are new; the others are over.
    pub(super) fn all(&mut self, faults: BTreeSet<Fault>) {
        faults.difference(&self.0).for_each(Fault::tell);
        self.0 = faults;
    }

    /// Tells of `faults` if they are new, and leaves it open whether others are over.
    pub(super) fn some(&mut self, faults: BTreeSet<Fault>) {
        for fault in faults {
            if !self.0.contains(&fault) {
                fault.tell();
                self.0.insert(fault);
            }
        }
    }
}

impl Fault {
    /// Names go into the log as texts, so that what people read has them quoted.
    fn tell(&self) {
        match self {
            Self::Folder { folder, error } => {
                let folder = folder.display().to_string();
                tracing::warn!(folder, error, "the manifests' folder cannot be listed");
            }
            Self::File { file, error } => {
                let file = file.display().to_string();
                tracing::warn!(file, error, "a manifest cannot be read");
            }
            Self::Entry { file, secret, error, more } => {
                let file = file.display().to_string();
                tracing::warn!(file, %secret, error, more, "an entry of a Secret is not base64");
            }
            Self::Twice { secret, first, second, more } => {
                let (first, second) = (first.to_string(), second.to_string());
                tracing::warn!(%secret, first, second, more, "two manifests define one Secret");
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.display().fmt(f)?;
        if self.line > 0 {
            write!(f, ", line {}", self.line)?;
        }
        Ok(())
    }
}
