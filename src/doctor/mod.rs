//! What is wrong with a setup: what is fetched, the checks over it, and the report.

pub mod checks;
pub mod cluster;
mod handshake;
pub mod probe;
pub mod report;
