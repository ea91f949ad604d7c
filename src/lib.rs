//! vsecm-scout

pub mod auth;
pub mod document;
pub mod http;
pub mod policy;
pub mod query;
pub mod secrets;
pub mod server;
