//! vsecm-scout

pub mod auth;
pub mod document;
pub mod query;
pub mod secrets;
