//! The source `manifests:DIR`: a folder of Secret manifests, as it is at each request.

mod folder;
mod stamped;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use super::{Read, ReadError, SecretName, SecretStore};
use folder::Folder;

/// A folder of Kubernetes Secret manifests. Files ending in `.yaml`, `.yml` or `.json` directly
/// in the folder count, symbolic links followed; dot-files do not (kubelet's `..data`).
///
/// What was read is kept in memory, and each read asks the file system whether it still stands
/// there: it takes a file's word for that only where inode, size and times are as they were for
/// two seconds and more when the file was read.
pub struct Manifests(Arc<Folder>);

impl Manifests {
    /// The source over `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be listed now.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        Ok(Self(Arc::new(Folder::open(folder, stamped::SETTLED)?)))
    }
}

impl SecretStore for Manifests {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        Box::pin(async move {
            let arrived = Instant::now();
            // Reads that arrive meanwhile are served by one look: the token's and the value's.
            tokio::task::yield_now().await;
            // To ask takes microseconds, less than to hand it to another thread.
            if let Some(read) = self.0.unchanged(name, arrived) {
                return read;
            }
            let (folder, name) = (Arc::clone(&self.0), name.clone());
            tokio::task::spawn_blocking(move || folder.look(&name, arrived))
                .await
                .unwrap_or(Err(ReadError::UnreadableManifest))
        })
    }
}
