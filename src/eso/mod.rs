//! What the External Secrets Operator (ESO) makes of its objects (pure): the stores and
//! ExternalSecrets themselves, the templates in them, and the URLs that come out.

mod objects;
pub mod template;
pub mod url;

pub use objects::*;
