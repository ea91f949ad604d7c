//! `vsecm-scout doctor` on a real API server: each fault is produced and found.

mod faults;
mod looks;
mod ward;

use libtest_mimic::Trial;

use crate::harness::trial;

/// The tests of this folder.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("doctor::a_good_setup_has_no_fault", looks::a_good_setup_has_no_fault),
        trial("doctor::faults_of_the_token_are_found", faults::faults_of_the_token_are_found),
        trial("doctor::faults_of_the_role_are_found", faults::faults_of_the_role_are_found),
        trial("doctor::faults_of_a_store_are_found", faults::faults_of_a_store_are_found),
        trial(
            "doctor::faults_of_an_external_secret_are_found",
            faults::faults_of_an_external_secret_are_found,
        ),
        trial(
            "doctor::a_store_of_an_old_version_is_found",
            looks::a_store_of_an_old_version_is_found,
        ),
        trial("doctor::what_eso_says_is_explained", looks::what_eso_says_is_explained),
        trial("doctor::it_works_with_little_rbac_and_only_reads", looks::little_rbac),
        trial("doctor::a_key_is_explained", looks::a_key_is_explained),
        trial("doctor::the_certificate_is_compared", looks::the_certificate_is_compared),
        trial("doctor::eso_may_be_in_another_cluster", looks::eso_may_be_in_another_cluster),
    ]
}
