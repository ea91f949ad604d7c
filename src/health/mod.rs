//! Whether the service is well: readiness, and the probe of the token behind it.

mod readiness;
mod token_probe;

pub use readiness::{Readiness, TokenSeen};
pub use token_probe::watch_token;
