//! What `deploy/` and docs/install.md give a cluster, on a real API server.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is missing fails the test")]

mod chart;
mod eso;
mod image;
mod pod;
mod renderings;
mod site;

use libtest_mimic::Trial;

/// The tests of this folder.
pub(crate) fn tests() -> Vec<Trial> {
    [chart::tests(), renderings::tests(), eso::tests(), image::tests()]
        .into_iter()
        .flatten()
        .collect()
}
