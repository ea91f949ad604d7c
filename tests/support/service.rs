//! The service inside the test's own process, on real sockets.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus_client::registry::Registry;
use rustls::RootCertStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vsecm_scout::auth::{Authenticator, TokenRules};
use vsecm_scout::connection::Metrics;
use vsecm_scout::http::{self, Endpoint, RequestIds};
use vsecm_scout::policy::ServePolicy;
use vsecm_scout::secrets::{MemoryBudget, Namespace, SecretName, SecretStore};
use vsecm_scout::server::certificate::Certificate;
use vsecm_scout::server::{Bound, Drain, Ended, Limits, Services, tls};

use super::SOON;
use super::certs::{Ca, files};
use super::client;
use super::metrics::{text, value};
use super::store::{Behaviour, Scripted, secret, served};
use super::token::token;

/// The endpoint over `store`, with the defaults of the command line and a deadline that a test can
/// wait for.
pub fn endpoint(store: Arc<dyn SecretStore>) -> Arc<Endpoint> {
    let namespace: Namespace = "default".parse().unwrap();
    let token_secret = SecretName::new(namespace.clone(), "jwt-token").unwrap();
    let rules = TokenRules {
        entry: "token".to_owned(),
        leeway: Duration::from_secs(30),
        max_overlap: Duration::from_secs(24 * 3600),
    };
    Arc::new(Endpoint {
        authenticator: Arc::new(
            Authenticator::new(Arc::clone(&store), token_secret.clone(), rules).unwrap(),
        ),
        store,
        policy: ServePolicy {
            default_namespace: namespace,
            other_namespaces: vec!["apps".parse().unwrap()],
            label: Some("scout.vsecm.com/serve=true".parse().unwrap()),
            token_secret,
        },
        deadline: Duration::from_secs(1),
        memory: MemoryBudget::new(8 << 20, 32 << 10),
    })
}

/// Its router, with room for 512 requests.
pub fn router(store: Arc<dyn SecretStore>) -> Router {
    router_for(store, 512).0
}

/// The endpoint over `store`, with room for as many requests, and what it counts.
pub fn router_for(store: Arc<dyn SecretStore>, max_requests: usize) -> (Router, Arc<Registry>) {
    let (endpoint, metrics) = (endpoint(store), Arc::new(http::Metrics::default()));
    let mut registry = Registry::with_prefix("vsecm_scout");
    metrics.register(&mut registry);
    endpoint.authenticator.metrics().register(&mut registry);
    let max_requests = NonZeroUsize::new(max_requests).unwrap();
    let router = http::router(endpoint, RequestIds::new().unwrap(), metrics, max_requests);
    (router, Arc::new(registry))
}

/// What `serve` allows by default.
pub const LIMITS: Limits = Limits {
    handshake: Duration::from_secs(10),
    header: Duration::from_secs(10),
    max_connections: NonZeroUsize::new(1024).unwrap(),
};

/// Limits that a test can wait for, and that a client keeps on a busy machine.
pub const SHORT_LIMITS: Limits =
    Limits { handshake: Duration::from_secs(2), header: Duration::from_secs(2), ..LIMITS };

/// As `dev` ends.
pub const DRAIN: Drain = Drain { delay: Duration::ZERO, grace: SOON };

/// A source with one served Secret, `a`, whose entry `v` is `value`, and what it takes to serve it.
pub struct Site {
    pub ca: Ca,
    pub folder: tempfile::TempDir,
    pub store: Arc<Scripted>,
    pub token: String,
}

impl Site {
    pub fn new() -> Self {
        let (store, token) = (Arc::new(Scripted::default()), token("{}"));
        let held = |secret| Behaviour::Holds(Arc::new(secret));
        store.set("default/jwt-token", held(secret(&[("token", token.as_bytes())])));
        store.set("default/a", held(served(&[("v", b"value")])));
        Self { ca: Ca::new(), folder: tempfile::tempdir().unwrap(), store, token }
    }

    pub fn start(&self, limits: Limits) -> Running {
        let router = router(self.store.clone());
        Running::start(&self.ca, self.folder.path(), router, limits, DRAIN)
    }

    pub async fn get(&self, running: &Running) -> std::io::Result<u16> {
        let path = "/webhook?key=a";
        Ok(client::get(&running.roots, running.address, path, &self.token).await?.status)
    }
}

/// A running server. It ends with the test's runtime.
pub struct Running {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub certificate: Arc<Certificate>,
    pub roots: Arc<RootCertStore>,
    connections: Registry,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Ended>,
}

impl Running {
    /// Serves `router` with a certificate of `ca` in `folder`.
    pub fn start(ca: &Ca, folder: &Path, router: Router, limits: Limits, drain: Drain) -> Self {
        if !files(folder).chain.exists() {
            ca.issue().write(folder);
        }
        let certificate = Certificate::load(files(folder), tls::provider()).unwrap();
        let tls = tls::server_config(tls::provider(), Arc::clone(&certificate)).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = Bound::new(any, any).unwrap();
        let (address, admin) = (bound.https_address().unwrap(), bound.admin_address().unwrap());
        let metrics = Metrics::default();
        let mut connections = Registry::default();
        metrics.register(&mut connections);
        let admin_router = http::admin::router(Arc::default(), Arc::default());
        let services = Services { https: router, admin: admin_router, tls, limits, metrics };
        let (stop, stopped) = oneshot::channel();
        let stopping = async {
            let _ = stopped.await;
        };
        let ended = tokio::spawn(bound.run(services, stopping, drain));
        let roots = ca.roots();
        Self { address, admin, certificate, roots, connections, stop: Some(stop), ended }
    }

    /// How many connections have ended for this reason.
    pub fn closed(&self, reason: &str) -> f64 {
        let series = format!("connections_closed_total{{reason=\"{reason}\"}}");
        value(&text(&self.connections), &series)
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn ended(self) -> Ended {
        self.ended.await.unwrap()
    }
}
