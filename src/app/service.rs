//! Puts the parts together and runs them: what `serve` and `dev` share.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::auth::{Authenticator, TokenRules};
use crate::connection::Metrics;
use crate::health::{Readiness, probe_token};
use crate::http::{self, Endpoint, RequestIds};
use crate::policy::ServePolicy;
use crate::secrets::{self, MemoryBudget, SecretStore, SharedReads};
use crate::server::certificate::{Certificate, CertificateFiles};
use crate::server::open_files::{self, Fit};
use crate::server::{Bound, Drain, Ended, Limits, Services, tls};
use crate::telemetry::log::Log;
use crate::telemetry::metrics::{Parts, registry};

/// The memory for large answers, in bytes: a Secret holds at most 1 MiB, and JSON may need six
/// bytes for one.
const LARGE_ANSWERS: usize = 8 << 20;

/// The largest answer that needs no reservation, in bytes. The bound on requests bounds these.
const SMALL_ANSWER: usize = 32 << 10;

/// All that a service is made of.
pub struct Config {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    pub certificate: CertificateFiles,
    pub store: Arc<dyn SecretStore>,
    pub limits: Limits,
    pub max_reads: NonZeroUsize,
    pub max_requests: NonZeroUsize,
    pub rules: TokenRules,
    pub policy: ServePolicy,
    pub deadline: Duration,
    pub drain: Drain,
}

/// A service whose ports are bound.
pub struct Service {
    bound: Bound,
    services: Services,
    endpoint: Arc<Endpoint>,
    certificate: Arc<Certificate>,
    readiness: Arc<Readiness>,
    drain: Drain,
}

impl Service {
    /// Loads what must be there, and binds the ports last.
    pub fn bind(config: Config, log: &Log) -> anyhow::Result<Self> {
        let provider = tls::provider();
        let certificate = Certificate::load(config.certificate, Arc::clone(&provider))
            .context("--tls-cert, --tls-key")?;
        let tls = tls::server_config(provider, Arc::clone(&certificate))?;
        let fit = open_files::fit(Fit {
            connections: config.limits.max_connections,
            reads: config.max_reads,
        });
        let token_secret = config.policy.token_secret.clone();
        let http_metrics = Arc::new(http::Metrics::default());
        let shared = Arc::new(SharedReads::new(
            config.store,
            fit.reads,
            read_deadline(config.deadline),
            secrets::Metrics::new(token_secret.clone(), http_metrics.panics()),
        ));
        let store: Arc<dyn SecretStore> = shared.clone();
        let endpoint = Arc::new(Endpoint {
            authenticator: Arc::new(Authenticator::new(
                Arc::clone(&store),
                token_secret,
                config.rules,
            )?),
            store,
            policy: config.policy,
            deadline: config.deadline,
            memory: MemoryBudget::new(LARGE_ANSWERS, SMALL_ANSWER),
        });
        let readiness = Arc::new(Readiness::default());
        let connections = Metrics::default();
        let registry = Arc::new(registry(Parts {
            http: &http_metrics,
            authenticator: &endpoint.authenticator,
            reads: &shared,
            certificate: &certificate,
            connections: &connections,
            dropped_lines: log.dropped_lines.clone(),
        }));
        let services = Services {
            https: http::router(
                Arc::clone(&endpoint),
                RequestIds::new()?,
                http_metrics,
                config.max_requests,
            ),
            admin: http::admin::router(Arc::clone(&readiness), registry),
            tls,
            limits: Limits { max_connections: fit.connections, ..config.limits },
            metrics: connections,
        };
        let bound =
            Bound::new(config.listen, config.admin_listen).map_err(|(address, error)| {
                let flag = if address == config.listen { "--listen" } else { "--admin-listen" };
                anyhow::anyhow!("{flag} {address}: {error}: {}", how_to_listen(&error))
            })?;
        Ok(Self { bound, services, endpoint, certificate, readiness, drain: config.drain })
    }

    /// The address of the HTTPS port.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.bound.https_address()?)
    }

    /// Serves until SIGTERM or SIGINT, drains, and tells how that went. A second signal ends the
    /// drain at once.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let mut signals = Signals::new()?;
        let https = self.bound.https_address()?;
        let admin = self.bound.admin_address()?;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "vsecm-scout starts");
        tracing::info!(address = %https, "listening for HTTPS");
        tracing::info!(address = %admin, "listening for admin requests");
        if self.endpoint.policy.label.is_none() {
            tracing::warn!(
                "--serve-label is empty: Secrets are served whatever their labels. Set it to serve \
                 only those that are labelled"
            );
        }
        let (authenticator, deadline) =
            (Arc::clone(&self.endpoint.authenticator), self.endpoint.deadline);
        tokio::spawn(probe_token(authenticator, deadline, Arc::clone(&self.readiness)));
        tokio::spawn(Arc::clone(&self.certificate).keep_current(Arc::clone(&self.readiness)));

        let readiness = Arc::clone(&self.readiness);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let stopping = async {
            let _ = stopped.await;
        };
        let mut serving = std::pin::pin!(self.bound.run(self.services, stopping, self.drain));
        tokio::select! {
            ended = serving.as_mut() => return Ok(exit_code(ended)),
            signal = signals.next() => tracing::info!(signal, "stopping"),
        }
        readiness.stopping();
        let _ = stop.send(());
        tokio::select! {
            ended = serving => Ok(exit_code(ended)),
            signal = signals.next() => {
                tracing::warn!(signal, "stopping at once");
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

/// What to do where an address cannot be listened on.
fn how_to_listen(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "stop what listens there, or choose another port",
        io::ErrorKind::AddrNotAvailable => {
            "choose an address of this machine; [::] stands for all of them"
        }
        io::ErrorKind::PermissionDenied => {
            "choose a port from 1024 on; those below need the capability NET_BIND_SERVICE"
        }
        _ => "choose another address",
    }
}

/// For one read: short of the deadline for the answer, so that the answer can say what failed.
pub fn read_deadline(deadline: Duration) -> Duration {
    deadline - deadline / 10
}

fn exit_code(ended: Ended) -> ExitCode {
    match ended {
        Ended::Drained => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Ended::CutOff => {
            tracing::error!(
                "stopped before all requests were answered: --shutdown-grace was too short for them"
            );
            ExitCode::FAILURE
        }
    }
}

/// The signals that end a process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
