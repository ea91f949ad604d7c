//! The composition root: from a configuration to a running service, and the process around it.

pub mod hardening;
mod runtime;
mod service;

pub use runtime::block_on;
pub use service::{Config, Service, read_deadline};
