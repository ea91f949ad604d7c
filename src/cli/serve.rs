//! `vsecm-scout serve`: the service.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Args as _, FromArgMatches};

use super::rules::{RulesArgs, Serving};
use super::values;
use crate::app::{Config, Service, block_on, hardening};
use crate::server::certificate::CertificateFiles;
use crate::server::{Drain, Limits};
use crate::telemetry::log::{self, LogFormat};

/// Serve Secrets over HTTPS
///
/// Every flag can be set by the environment variable named beside it. Durations are written with
/// their unit: 5s, 1m30s, 24h. The exit status after SIGTERM or SIGINT is 0 where all requests
/// were answered within the grace, else 1; it is 2 where the service could not start.
#[derive(clap::Args)]
pub struct Args {
    /// Address for HTTPS: GET /webhook. [::] takes IPv4 too
    #[arg(
        long,
        env = "VSECM_SCOUT_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:8443",
        value_parser = values::address
    )]
    listen: SocketAddr,

    /// Address for plain HTTP to operators: /livez, /readyz and /metrics
    #[arg(
        long,
        env = "VSECM_SCOUT_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:9090",
        value_parser = values::address
    )]
    admin_listen: SocketAddr,

    /// The server's certificate chain in PEM; reloaded when its contents change
    #[arg(long, env = "VSECM_SCOUT_TLS_CERT", value_name = "FILE")]
    tls_cert: PathBuf,

    /// Its private key in PEM; reloaded likewise
    #[arg(long, env = "VSECM_SCOUT_TLS_KEY", value_name = "FILE")]
    tls_key: PathBuf,

    #[command(flatten)]
    rules: RulesArgs,

    /// Reads under way at the source at any time; what waits for longer than the deadline is a 503
    #[arg(
        long,
        env = "VSECM_SCOUT_MAX_API_READS",
        value_name = "COUNT",
        default_value = "64",
        value_parser = values::count
    )]
    max_api_reads: NonZeroUsize,

    /// Requests in flight at any time, from their arrival to the last byte of their answer; a
    /// further one is a 503
    #[arg(
        long,
        env = "VSECM_SCOUT_MAX_REQUESTS",
        value_name = "COUNT",
        default_value = "512",
        value_parser = values::count
    )]
    max_requests: NonZeroUsize,

    /// Connections open at any time; at the cap one that is idle makes room for another
    #[arg(
        long,
        env = "VSECM_SCOUT_MAX_CONNECTIONS",
        value_name = "COUNT",
        default_value = "1024",
        value_parser = values::count
    )]
    max_connections: NonZeroUsize,

    /// For a client's TLS handshake
    #[arg(
        long,
        env = "VSECM_SCOUT_HANDSHAKE_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = values::positive_duration
    )]
    handshake_timeout: Duration,

    /// For the head of a request, for a connection between two requests, and for an answer of
    /// which a client takes nothing
    #[arg(
        long,
        env = "VSECM_SCOUT_HEADER_TIMEOUT",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = values::positive_duration
    )]
    header_timeout: Duration,

    /// How long connections are still accepted after SIGTERM or SIGINT, while the Service's
    /// endpoints learn that this one leaves
    #[arg(
        long,
        env = "VSECM_SCOUT_SHUTDOWN_DELAY",
        value_name = "DURATION",
        default_value = "5s",
        value_parser = values::duration
    )]
    shutdown_delay: Duration,

    /// How long requests under way may take to end after that; a second signal ends them at once
    #[arg(
        long,
        env = "VSECM_SCOUT_SHUTDOWN_GRACE",
        value_name = "DURATION",
        default_value = "25s",
        value_parser = values::duration
    )]
    shutdown_grace: Duration,

    /// The form of the log. Default: text on a terminal, else json. RUST_LOG sets the level;
    /// the lines about requests are of the level info
    #[arg(long, env = "VSECM_SCOUT_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

/// Serves until it is told to stop.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    hardening::forbid_core_dumps().context(
        "core dumps, which would hold secrets, cannot be forbidden: allow this process setrlimit and \
         prctl (a seccomp profile may forbid them)",
    )?;
    let log = log::start(LogFormat::or_default(args.log_format))?;
    block_on(async { Service::bind(args.into_config().await?, &log)?.run().await })
}

impl Args {
    /// The arguments that these flags and the defaults make, whatever the environment says.
    pub fn from_flags<'a>(flags: impl Iterator<Item = &'a OsStr>) -> clap::error::Result<Self> {
        let command = Self::augment_args(clap::Command::new("serve").no_binary_name(true))
            .mut_args(|argument| argument.env(clap::builder::Resettable::Reset));
        Self::from_arg_matches(&command.try_get_matches_from(flags)?)
    }

    /// Opens the source, and checks what a single argument does not tell.
    pub async fn into_config(self) -> anyhow::Result<Config> {
        let Serving { store, rules, policy, deadline, .. } = self.rules.open().await?;
        Ok(Config {
            listen: self.listen,
            admin_listen: self.admin_listen,
            certificate: CertificateFiles { chain: self.tls_cert, key: self.tls_key },
            store,
            limits: Limits {
                handshake: self.handshake_timeout,
                header: self.header_timeout,
                max_connections: self.max_connections,
            },
            max_reads: self.max_api_reads,
            max_requests: self.max_requests,
            rules,
            policy,
            deadline,
            drain: Drain { delay: self.shutdown_delay, grace: self.shutdown_grace },
        })
    }
}
