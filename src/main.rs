//! The program: see the library for what it does.

use std::process::ExitCode;

/// glibc's allocator keeps what a storm of connections has taken.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vsecm_scout::cli::main()
}
