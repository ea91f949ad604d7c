//! Kubeconfig files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

/// An API server, as kubeconfigs name it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    /// Its port on loopback.
    pub(crate) port: u16,
    /// The file with the certificate of its authority.
    pub(crate) ca_file: PathBuf,
}

/// Who a kubeconfig speaks for.
pub(crate) enum Credentials<'a> {
    /// The certificate and key `NAME.crt` and `NAME.key` of a folder.
    Certificate { folder: &'a Path, name: &'a str },
    /// The bearer token in a file.
    TokenFile(&'a Path),
}

/// Writes a kubeconfig. It names the other files instead of holding them, so
/// that a client which reads it again finds a new authority or token in them.
pub(crate) fn write(
    path: &Path,
    server: &Server,
    credentials: &Credentials<'_>,
    namespace: &str,
) -> Result<()> {
    let user = match credentials {
        Credentials::Certificate { folder, name } => json!({
            "client-certificate": folder.join(format!("{name}.crt")),
            "client-key": folder.join(format!("{name}.key")),
        }),
        Credentials::TokenFile(file) => json!({ "tokenFile": file }),
    };
    let kubeconfig: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{}", server.port),
            "certificate-authority": server.ca_file,
        }}],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test", "namespace": namespace }}],
        "current-context": "test",
    });
    // JSON is YAML.
    Ok(fs::write(path, serde_json::to_vec_pretty(&kubeconfig)?)?)
}
