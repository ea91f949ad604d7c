//! Tests on a real control plane, with a real External Secrets Operator.

mod deploy;
mod doctor;
mod external_secrets;
mod harness;
mod in_cluster;
mod large_values;
mod load;
mod manifests;
mod monitoring;
mod outages;
mod role;
mod rotation;
mod scout;
mod shared_reads;
mod smoke;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, run};

fn main() -> ExitCode {
    let tests = [
        doctor::tests(),
        smoke::tests(),
        role::tests(),
        in_cluster::tests(),
        outages::tests(),
        rotation::tests(),
        shared_reads::tests(),
        large_values::tests(),
        manifests::tests(),
        monitoring::tests(),
        deploy::tests(),
        external_secrets::tests(),
    ];
    let tests = tests.into_iter().flatten().collect();
    let conclusion = run(&Arguments::from_args(), tests);
    harness::shutdown();
    conclusion.exit_code()
}
