//! What `dev` prints: how to ask.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Commands for a shell, each of which works when pasted. They read the token from its manifest,
/// so that none is printed.
pub fn tour(address: SocketAddr, certs: &Path, manifests: &Path) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let url = format!("https://{host}:{}/webhook", address.port());
    let curl = format!("curl -sS --cacert {}", quoted(&certs.join("ca.crt")));
    let token_file = quoted(&manifests.join("jwt-token.yaml"));
    include_str!("tour.txt")
        .replace("$CURL", &curl)
        .replace("$URL", &url)
        .replace("$TOKEN_FILE", &token_file)
        .replace("$MANIFESTS", &manifests.display().to_string())
}

/// For a POSIX shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if path.chars().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}
