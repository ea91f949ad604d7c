//! The source `manifests:DIR`: a folder of Secret manifests, as it is at each request.

mod contents;
mod faults;
mod folder;
mod looker;
mod stamped;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use futures_util::future::BoxFuture;

use super::{Read, SecretName, SecretStore};
use folder::Folder;
use looker::Looker;

/// A folder of Kubernetes Secret manifests. Files ending in `.yaml`, `.yml` or `.json` directly
/// in the folder count, symbolic links followed; dot-files do not (kubelet's `..data`).
///
/// What was read is kept in memory, and each read asks the file system whether it still stands
/// there: it takes a file's word for that only where inode, size and times are as they were for
/// two seconds and more when the file was read.
pub struct Manifests(Looker);

impl Manifests {
    /// The source over `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be listed now, or no thread can be started.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        Ok(Self(Looker::start(Folder::open(folder, stamped::SETTLED)?)?))
    }
}

impl SecretStore for Manifests {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        Box::pin(self.0.read(name))
    }
}
