//! vsecm-scout

pub mod secrets;
