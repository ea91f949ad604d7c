//! Free ports on loopback.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below the range from which systems take the ports of outgoing connections.
/// Out of that range a port could be taken by anyone while its server restarts,
/// and a client that dials it meanwhile may even connect to itself.
const FIRST: u16 = 16_384;
const COUNT: u16 = 16_000;

/// Where the search goes on: a random start keeps test processes that run side
/// by side apart, and counting on keeps this one's servers apart.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| {
    let random = RandomState::new().build_hasher().finish();
    AtomicU16::new((random % u64::from(COUNT)) as u16)
});

/// A port that nobody listens on right now. It is not reserved: whoever starts a
/// server on it must be ready to try another.
pub(crate) fn free() -> Result<u16> {
    (0..COUNT)
        .map(|_| FIRST + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free port on loopback")
}
