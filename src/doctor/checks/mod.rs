//! The checks: pure functions over what was fetched. They know neither kube nor the terminal.

pub mod access;
mod authorization;
pub mod certificate;
pub mod external_secret;
pub mod key;
pub mod store;
pub mod symptom;
#[cfg(test)]
mod testing;
pub mod token;

/// Why something could not be fetched. It is told, and the other checks go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// RBAC forbids it to whoever runs the checks.
    #[error("not checked: RBAC does not let you read it")]
    Forbidden,
    /// It is not there.
    #[error("it is not there")]
    NotFound,
    /// Anything else, in fixed words.
    #[error("not checked: {0}")]
    Failed(String),
}

/// The message of the latest warning about an object, where there is one; outer `None`: it was
/// not asked for.
pub type Warning = Option<Result<Option<String>, Unread>>;
