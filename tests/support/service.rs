//! The service inside the test's own process, on real sockets.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::RootCertStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vsecm_scout::auth::{Authenticator, TokenRules};
use vsecm_scout::http::{self, Readiness, RequestIds, Scout};
use vsecm_scout::policy::ServePolicy;
use vsecm_scout::secrets::{Namespace, SecretName, SecretStore};
use vsecm_scout::server::certificate::Certificate;
use vsecm_scout::server::{Bound, Ended, Limits, Services, tls};

use super::certs::{Ca, files};

/// The endpoint over `store`, with the defaults of the command line and a short deadline.
pub fn scout(store: Arc<dyn SecretStore>) -> Arc<Scout> {
    let namespace: Namespace = "default".parse().unwrap();
    let token_secret = SecretName::new(namespace.clone(), "jwt-token").unwrap();
    let rules = TokenRules {
        entry: "token".to_owned(),
        leeway: Duration::from_secs(30),
        max_overlap: Duration::from_secs(24 * 3600),
    };
    Arc::new(Scout {
        authenticator: Authenticator::new(Arc::clone(&store), token_secret.clone(), rules).unwrap(),
        store,
        policy: ServePolicy {
            default_namespace: namespace,
            other_namespaces: vec!["apps".parse().unwrap()],
            label: Some("scout.vsecm.com/serve=true".parse().unwrap()),
            token_secret,
        },
        deadline: Duration::from_millis(500),
    })
}

pub fn router(store: Arc<dyn SecretStore>) -> Router {
    http::router(scout(store), Arc::new(RequestIds::new().unwrap()))
}

/// A running server. It ends with the test's runtime.
pub struct Running {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub certificate: Arc<Certificate>,
    pub roots: Arc<RootCertStore>,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Ended>,
}

impl Running {
    /// Serves `router` with a certificate of `ca` in `folder`.
    pub fn start(ca: &Ca, folder: &Path, router: Router, limits: Limits, grace: Duration) -> Self {
        if !files(folder).chain.exists() {
            ca.issue().write(folder);
        }
        let certificate = Certificate::load(files(folder), tls::provider()).unwrap();
        let tls = tls::server_config(tls::provider(), Arc::clone(&certificate)).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let bound = Bound::new(any, any).unwrap();
        let (address, admin) = (bound.https_address().unwrap(), bound.admin_address().unwrap());
        let admin_router = http::admin::router(Arc::new(Readiness::default()));
        let services = Services { https: router, admin: admin_router, tls, limits };
        let (stop, stopped) = oneshot::channel();
        let stopping = async {
            let _ = stopped.await;
        };
        let ended = tokio::spawn(bound.run(services, stopping, grace));
        Self { address, admin, certificate, roots: ca.roots(), stop: Some(stop), ended }
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    pub async fn ended(self) -> Ended {
        self.ended.await.unwrap()
    }
}
