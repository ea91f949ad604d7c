//! vsecm-scout: an HTTPS service from which the External Secrets Operator reads Secrets.
//!
//! # The life of a request
//!
//! 1. [`server`] accepts a connection, shakes hands in TLS, and speaks HTTP/1.1 or HTTP/2 on it
//!    within its limits.
//! 2. [`http`] takes the request. Its audit layer numbers it and leaves one line, whatever
//!    happens; its webhook handler makes every check in the order of the contract.
//! 3. [`auth`] reads the `Authorization` header, then the token Secret, live, and lets the bearer
//!    in if the two hold the same token.
//! 4. [`query`] says which Secret and which property are asked for.
//! 5. [`policy`] says whether that Secret is served at all.
//! 6. [`secrets`] reads it from its source.
//! 7. [`document`] walks to the property, and [`answer`] writes it as JSON.
//!    What goes wrong anywhere becomes a [`problem::Problem`].
//!
//! [`query`], [`document`], [`policy`] and the rules in [`auth`] are pure. [`health`] looks at the
//! token for readiness' and monitoring's sake, and [`cli`] puts everything together. What can be
//! counted is counted where it happens, by a `Metrics` of that module.

pub mod answer;
mod app;
pub mod auth;
pub mod cli;
pub mod connection;
mod doctor;
pub mod document;
mod eso;
mod fault_log;
pub mod health;
pub mod http;
pub mod kubernetes;
pub mod policy;
pub mod problem;
pub mod query;
pub mod secrets;
pub mod server;
mod telemetry;
#[cfg(test)]
mod testing;
