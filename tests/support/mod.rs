//! What the black-box tests share.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::indexing_slicing, missing_docs)]

pub mod certs;
pub mod client;
pub mod folder;
pub mod frames;
pub mod metrics;
pub mod process;
pub mod service;
pub mod store;
pub mod token;

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

/// How long anything may take that should happen at once.
pub const SOON: Duration = Duration::from_secs(20);

/// Polls until `condition` holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + SOON;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads until the peer closes.
pub async fn closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut sink = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut sink)).await.unwrap();
}
