//! The HTTP client: connections to the API server, and one attempt to read.

use std::error::Error;
use std::io;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::header::{ACCEPT, HeaderMap, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{AuthError, Body, Client, ConfigExt};
use tower::{BoxError, ServiceBuilder};
use zeroize::Zeroizing;

use super::answer::{Failure, Remedy, interpret};
use super::config::ConfigError;
use crate::secrets::{MemoryBudget, ReadError, Reservation, Secret, SecretName};

/// Who asks, in the API server's audit log.
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
/// The largest body that is read, in bytes. The API server stores at most 1 MiB of data in a
/// Secret, and etcd at most 1.5 MiB altogether, which base64 and JSON less than double.
pub(super) const MAX_BODY: usize = 4 << 20;
/// What reading a large Secret takes at most, in bytes: its body while it grows, the entries in
/// base64, and the entries.
const READING: usize = 8 << 20;
/// How long a credential plug-in may take.
const PLUGIN_PATIENCE: Duration = Duration::from_secs(30);
/// How many idle connections are kept, and for how long: the API server closes them after 90 s,
/// and a request should not meet that.
const MAX_IDLE: usize = 64;
const IDLE: Duration = Duration::from_secs(60);
/// When an idle connection is probed, and again. With the user timeout, one over a path that was
/// dropped in silence is gone within seconds.
const PROBE_AFTER: Duration = Duration::from_secs(3);
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The memory for large Secrets of one cluster, in bytes: two can be read at a time.
pub(super) const LARGE_SECRETS: usize = 2 * READING;
/// The largest body that needs no reservation, in bytes. The bound on reads bounds these.
pub(super) const SMALL_SECRET: usize = 64 << 10;

/// A client with the credentials, the CA and the connections of one configuration.
pub(super) struct Connection {
    client: Client,
}

impl Connection {
    /// The client for `config`. It does not connect yet. `unreachable_after` is how long a
    /// connection may take to open, and sent bytes to be acknowledged; an answer may take longer.
    pub(super) async fn new(
        config: kube::Config,
        unreachable_after: Duration,
    ) -> Result<Self, ConfigError> {
        let late = ConfigError::too_slow(&config);
        // A kubeconfig's credential plug-in is a program, and kube waits for it.
        let built = tokio::task::spawn_blocking(move || {
            let client = build(&config, unreachable_after);
            client.map_err(|error| ConfigError::of_client(&config, &error))
        });
        let client = tokio::time::timeout(PLUGIN_PATIENCE, built).await.map_err(|_| late)???;
        Ok(Self { client })
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// One GET without a resourceVersion: the API server answers it from a quorum of etcd. A large
    /// Secret takes a reservation of `memory`.
    pub(super) async fn get(
        &self,
        name: &SecretName,
        memory: &MemoryBudget,
    ) -> Result<Secret, Failure> {
        let path = format!("/api/v1/namespaces/{}/secrets/{}", name.namespace, name.name());
        let request = Request::get(path)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, AGENT)
            .body(Body::empty())
            .map_err(|_| Failure::unavailable("the request cannot be built", Remedy::None))?;
        let response = self.client.send(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let (body, reservation) = collect(body, head.status, memory).await?;
        let mut secret = interpret(name, head.status, retry_after(&head.headers), &body)?;
        secret.reservation = reservation;
        secret.reservation.shrink(secret.entries.values().map(|bytes| bytes.len()).sum());
        Ok(secret)
    }
}

/// Not kube's own stack: that logs each failure and retries 15 times.
fn build(config: &kube::Config, unreachable_after: Duration) -> Result<Client, kube::Error> {
    // rustls chooses by itself only while a single provider is compiled in.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let connector =
        config.rustls_https_connector_with_connector(tcp_connector(unreachable_after))?;
    let http = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MAX_IDLE)
        .build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace.as_str()))
}

fn tcp_connector(unreachable_after: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(unreachable_after));
    tcp.set_keepalive(Some(PROBE_AFTER));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(unreachable_after));
    tcp
}

async fn collect(
    mut body: Body,
    status: StatusCode,
    memory: &MemoryBudget,
) -> Result<(Zeroizing<Vec<u8>>, Reservation), Failure> {
    let (mut bytes, mut reservation) = (Zeroizing::new(Vec::new()), None);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure { status: Some(status), ..broken(&error) })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_BODY {
            return Err(Failure::unavailable("its answer is too large", Remedy::None));
        }
        if reservation.is_none() && memory.is_large(bytes.len() + data.len()) {
            reservation = Some(memory.reserve(READING).await.map_err(|_| ReadError::Overloaded)?);
        }
        append(&mut bytes, &data);
    }
    Ok((bytes, reservation.unwrap_or_default()))
}

/// A vector that grows by itself leaves its old buffer behind, not zeroed.
pub(super) fn append(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let length = bytes.len() + more.len();
    if length > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * bytes.capacity())));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}

/// `Retry-After` in seconds, as the API server writes it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Why there was no whole answer. What lies below is judged by type: its messages may quote the
/// output of a credential plug-in.
fn broken(error: &(dyn Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return Failure::unavailable("TLS with it failed", Remedy::Rebuild);
        }
        if error.is::<AuthError>() {
            return Failure::unavailable("the credentials cannot be loaded", Remedy::Rebuild);
        }
        // An `io::Error` passes over the error that it wraps when asked for its source.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    Failure::unavailable("the connection failed", Remedy::Retry)
}
