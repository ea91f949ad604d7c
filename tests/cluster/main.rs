//! Tests on a real control plane, with a real External Secrets Operator.

mod harness;
mod smoke;

use std::process::ExitCode;

use libtest_mimic::{Arguments, run};

fn main() -> ExitCode {
    let tests = smoke::tests();
    let conclusion = run(&Arguments::from_args(), tests);
    harness::shutdown();
    conclusion.exit_code()
}
