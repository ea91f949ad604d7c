//! What the process tells of itself: its log and its metrics.

pub mod log;
pub mod metrics;
mod process;
