//! External Secrets Operator's (ESO's) controller asks the service: set up as README shows, on one
//! cluster or on two.

mod article;
mod deletion;
mod failures;
mod forms;
mod many;
mod rotation;
mod stage;
mod values;

use libtest_mimic::Trial;

/// The tests of this folder.
pub(crate) fn tests() -> Vec<Trial> {
    let files = [
        article::tests(),
        forms::tests(),
        values::tests(),
        failures::tests(),
        deletion::tests(),
        rotation::tests(),
        many::tests(),
    ];
    files.into_iter().flatten().collect()
}
