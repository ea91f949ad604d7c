//! External Secrets Operator's (ESO's) controller asks the service: set up as README shows, on one
//! cluster or on two.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is missing fails the test")]

mod crafted;
mod deletion;
mod failures;
mod force_sync;
mod forms;
mod many;
mod rotation;
mod stage;
mod tenants;
mod tls;
mod values;
mod versions;
mod whole_secret;

use libtest_mimic::Trial;

/// The tests of this folder.
pub(crate) fn tests() -> Vec<Trial> {
    let files = [
        whole_secret::tests(),
        forms::tests(),
        values::tests(),
        failures::tests(),
        deletion::tests(),
        rotation::tests(),
        force_sync::tests(),
        tenants::tests(),
        tls::tests(),
        versions::tests(),
        many::tests(),
    ];
    files.into_iter().flatten().collect()
}
