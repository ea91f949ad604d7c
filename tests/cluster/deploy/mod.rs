//! What `deploy/`, docs/install.md and docs/upgrading.md give a cluster, on a real API server.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is missing fails the test")]

mod chart;
mod eso;
mod image;
mod pod;
mod removal;
mod renderings;
mod site;
mod upgrade;

use libtest_mimic::Trial;

/// The tests of this folder.
pub(crate) fn tests() -> Vec<Trial> {
    [
        chart::tests(),
        upgrade::tests(),
        removal::tests(),
        renderings::tests(),
        eso::tests(),
        image::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
