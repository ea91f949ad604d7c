//! The source `manifests:DIR`: a folder of Secret manifests, read anew for each request.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use super::manifest;
use super::{Read, ReadError, SecretName, SecretStore};

/// How often a folder is searched while its files change under the search.
const SEARCHES: usize = 3;

/// A folder of Kubernetes Secret manifests. Files ending in `.yaml`, `.yml` or `.json` directly
/// in the folder count, symbolic links followed; dot-files do not (kubelet's `..data`).
pub struct Manifests {
    folder: PathBuf,
}

impl Manifests {
    /// The source over `folder`.
    ///
    /// # Errors
    /// Where the folder cannot be listed now.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        fs::read_dir(&folder)?;
        Ok(Self { folder })
    }
}

impl SecretStore for Manifests {
    fn read<'a>(&'a self, name: &'a SecretName) -> BoxFuture<'a, Read> {
        let (folder, name) = (self.folder.clone(), name.clone());
        Box::pin(async move {
            tokio::task::spawn_blocking(move || find(&folder, &name))
                .await
                .unwrap_or(Err(ReadError::UnreadableManifest))
        })
    }
}

fn find(folder: &Path, name: &SecretName) -> Read {
    let mut files = list(folder)?;
    for _ in 0..SEARCHES {
        let outcome = search(&files, name);
        if outcome.is_ok() {
            return outcome;
        }
        // A Secret may have moved from a file that was still to be read to one that had been: that
        // it is missing, or there twice, holds only if no file has changed meanwhile.
        let now = list(folder)?;
        if now == files {
            return outcome;
        }
        files = now;
    }
    Err(ReadError::UnreadableManifest)
}

fn search(files: &[Listed], name: &SecretName) -> Read {
    let mut found = None;
    let mut unreadable = false;
    for Listed { path, .. } in files {
        let entries = read_file(path).unwrap_or_else(|error| {
            tracing::warn!(file = %path.display(), %error, "a manifest cannot be read");
            unreadable = true;
            Vec::new()
        });
        for (_, secret) in entries.into_iter().filter(|(entry, _)| entry == name) {
            if found.replace(secret).is_some() {
                return Err(ReadError::DuplicateManifest);
            }
        }
    }
    match found {
        Some(secret) => secret.map(Arc::new),
        None if unreadable => Err(ReadError::UnreadableManifest),
        None => Err(ReadError::NotFound),
    }
}

/// A file of the folder, and what tells it apart from whatever takes its place.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    path: PathBuf,
    /// Device, inode and time of the last change; `None` behind a link that leads nowhere.
    identity: Option<(u64, u64, i64, i64)>,
}

fn list(folder: &Path) -> Result<Vec<Listed>, ReadError> {
    try_list(folder).map_err(|error| {
        tracing::warn!(folder = %folder.display(), %error, "the manifests' folder cannot be listed");
        ReadError::UnreadableManifest
    })
}

fn try_list(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = path
            .extension()
            .and_then(OsStr::to_str)
            .is_some_and(|extension| matches!(extension, "yaml" | "yml" | "json"));
        if hidden || !manifest {
            continue;
        }
        let there = fs::metadata(&path).ok();
        if !there.as_ref().is_some_and(fs::Metadata::is_dir) {
            let identity =
                there.map(|file| (file.dev(), file.ino(), file.ctime(), file.ctime_nsec()));
            files.push(Listed { path, identity });
        }
    }
    files.sort();
    Ok(files)
}

fn read_file(file: &Path) -> io::Result<Vec<manifest::Entry>> {
    // A FIFO would block for ever.
    if !fs::metadata(file)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let bytes = Zeroizing::new(fs::read(file)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| io::Error::other("not UTF-8"))?;
    manifest::parse(text).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use super::*;
    use crate::secrets::Namespace;

    fn secret(name: &str, value: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{k: {value}}}\n"
        )
    }

    fn read(folder: &Path, name: &str) -> Result<String, ReadError> {
        let name = SecretName::parse(name, &"default".parse::<Namespace>().unwrap()).unwrap();
        let secret = find(folder, &name)?;
        Ok(String::from_utf8_lossy(&secret.entries["k"]).into_owned())
    }

    #[test]
    fn each_read_sees_the_folder_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        assert_eq!(read(folder.path(), "a"), Err(ReadError::NotFound));
        for value in ["one", "two"] {
            fs::write(&file, secret("a", value)).unwrap();
            assert_eq!(read(folder.path(), "a").as_deref(), Ok(value));
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(read(folder.path(), "a"), Err(ReadError::NotFound));
    }

    #[test]
    fn only_manifests_directly_in_the_folder_count() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("..data")).unwrap();
        fs::create_dir(folder.path().join("folder.yaml")).unwrap();
        for hidden in [".a.yaml", "..data/a.yaml", "folder.yaml/a.yaml", "a.yaml.bak", "a.txt"] {
            fs::write(folder.path().join(hidden), secret("a", "hidden")).unwrap();
        }
        assert_eq!(read(folder.path(), "a"), Err(ReadError::NotFound));
        for name in ["a.yaml", "b.yml", "c.json"] {
            fs::write(folder.path().join(name), secret(&name[..1], "shown")).unwrap();
            assert_eq!(read(folder.path(), &name[..1]).as_deref(), Ok("shown"));
        }
    }

    #[test]
    fn links_are_followed_as_kubelet_mounts_them() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("..v1")).unwrap();
        fs::write(folder.path().join("..v1/a.yaml"), secret("a", "linked")).unwrap();
        std::os::unix::fs::symlink("..v1", folder.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
        assert_eq!(read(folder.path(), "a").as_deref(), Ok("linked"));
    }

    #[test]
    fn beside_an_unreadable_file_nothing_is_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), secret("a", "there")).unwrap();
        let bad = folder.path().join("bad.yaml");
        for content in [&b"{"[..], b"", b"\xff\xfe", b"kind: Secret\napiVersion: v1\n"] {
            fs::write(&bad, content).unwrap();
            assert_eq!(read(folder.path(), "a").as_deref(), Ok("there"));
            assert_eq!(read(folder.path(), "b"), Err(ReadError::UnreadableManifest));
        }
        fs::remove_file(&bad).unwrap();
        std::os::unix::fs::symlink("nowhere", &bad).unwrap();
        assert_eq!(read(folder.path(), "a").as_deref(), Ok("there"));
        assert_eq!(read(folder.path(), "b"), Err(ReadError::UnreadableManifest));
        fs::remove_file(&bad).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &bad).unwrap();
        assert_eq!(read(folder.path(), "b"), Err(ReadError::UnreadableManifest));
    }

    #[test]
    fn a_secret_that_moves_from_file_to_file_is_never_missing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            fs::write(folder.path().join("new"), text).unwrap();
            fs::rename(folder.path().join("new"), folder.path().join(file)).unwrap();
        };
        let moving = secret("a", "moves");
        write("1.yaml", &moving);
        for other in 2..40 {
            write(&format!("{other}.yaml"), &secret(&format!("s{other}"), "x"));
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    for (to, from) in [("99.yaml", "1.yaml"), ("1.yaml", "99.yaml")] {
                        write(to, &moving);
                        write(from, "# nothing");
                        std::thread::yield_now();
                    }
                }
            });
            let missing = (0..100).any(|_| read(folder.path(), "a") == Err(ReadError::NotFound));
            done.store(true, Relaxed);
            assert!(!missing);
        });
    }

    #[test]
    fn two_manifests_of_one_secret_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), secret("a", "x")).unwrap();
        fs::write(folder.path().join("b.yaml"), secret("a", "x")).unwrap();
        assert_eq!(read(folder.path(), "a"), Err(ReadError::DuplicateManifest));
    }

    #[test]
    fn a_folder_that_is_gone_is_no_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        assert!(Manifests::open(gone.clone()).is_err());
        assert_eq!(read(&gone, "a"), Err(ReadError::UnreadableManifest));
    }
}
