//! Puts the parts together and runs them: what `serve` and `dev` share.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logging::Log;
use super::metrics::{Parts, registry};
use crate::auth::{Authenticator, TokenRules};
use crate::http::{self, Readiness, RequestIds, Scout};
use crate::policy::ServePolicy;
use crate::secrets::{self, Memory, SecretStore, SharedReads};
use crate::server::certificate::{Certificate, CertificateFiles};
use crate::server::open_files::{self, Fit};
use crate::server::{Bound, Drain, Ended, Limits, Metrics, Services, tls};
use crate::watch::watch_token;

/// The memory for large answers, in bytes: a Secret holds at most 1 MiB, and JSON may need six
/// bytes for one.
const LARGE_ANSWERS: usize = 8 << 20;

/// The largest answer that needs no place there, in bytes. The bound on requests bounds these.
const SMALL_ANSWER: usize = 32 << 10;

/// All that a service is made of.
pub struct Setup {
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
    scout: Arc<Scout>,
    certificate: Arc<Certificate>,
    readiness: Arc<Readiness>,
    drain: Drain,
}

impl Service {
    /// Loads what must be there, and binds the ports last.
    pub fn bind(setup: Setup, log: &Log) -> anyhow::Result<Self> {
        let provider = tls::provider();
        let certificate = Certificate::load(setup.certificate, Arc::clone(&provider))
            .context("--tls-cert, --tls-key")?;
        let tls = tls::server_config(provider, Arc::clone(&certificate))?;
        let fit = open_files::fit(Fit {
            connections: setup.limits.max_connections,
            reads: setup.max_reads,
        });
        let token_secret = setup.policy.token_secret.clone();
        let http_metrics = Arc::new(http::Metrics::default());
        let shared = Arc::new(SharedReads::new(
            setup.store,
            fit.reads,
            read_deadline(setup.deadline),
            secrets::Metrics::new(token_secret.clone(), http_metrics.panics()),
        ));
        let store: Arc<dyn SecretStore> = shared.clone();
        let scout = Arc::new(Scout {
            authenticator: Authenticator::new(Arc::clone(&store), token_secret, setup.rules)?,
            store,
            policy: setup.policy,
            deadline: setup.deadline,
            memory: Memory::new(LARGE_ANSWERS, SMALL_ANSWER),
        });
        let readiness = Arc::new(Readiness::default());
        let connections = Metrics::default();
        let registry = Arc::new(registry(Parts {
            http: &http_metrics,
            authenticator: &scout.authenticator,
            reads: &shared,
            certificate: &certificate,
            connections: &connections,
            dropped_lines: log.dropped_lines.clone(),
        }));
        let services = Services {
            https: http::router(
                Arc::clone(&scout),
                RequestIds::new()?,
                http_metrics,
                setup.max_requests,
            ),
            admin: http::admin::router(Arc::clone(&readiness), registry),
            tls,
            limits: Limits { max_connections: fit.connections, ..setup.limits },
            metrics: connections,
        };
        let bound = Bound::new(setup.listen, setup.admin_listen).map_err(|(address, error)| {
            let flag = if address == setup.listen { "--listen" } else { "--admin-listen" };
            anyhow::anyhow!("{flag} {address}: {error}: {}", how_to_listen(&error))
        })?;
        Ok(Self { bound, services, scout, certificate, readiness, drain: setup.drain })
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
        if self.scout.policy.label.is_none() {
            tracing::warn!(
                "--serve-label is empty: Secrets are served whatever their labels. Set it to serve \
                 only those that are labelled"
            );
        }
        tokio::spawn(watch_token(Arc::clone(&self.scout), Arc::clone(&self.readiness)));
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
