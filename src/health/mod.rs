//! Whether the service is well: readiness, and the probe of the token behind it.

mod readiness;
mod token_probe;

pub use readiness::{ProbedToken, Readiness};
pub use token_probe::probe_token;
