//! A TLS client, and HTTP on it.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::ext::ReasonPhrase;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::SOON;

/// What the client offers.
pub struct Offer {
    pub roots: Arc<RootCertStore>,
    pub alpn: Vec<&'static str>,
    pub provider: CryptoProvider,
    pub versions: Vec<&'static rustls::SupportedProtocolVersion>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: Option<String>,
    pub headers: hyper::HeaderMap,
    pub body: Bytes,
}

impl Offer {
    pub fn new(roots: Arc<RootCertStore>, alpn: &[&'static str]) -> Self {
        Self {
            roots,
            alpn: alpn.to_vec(),
            provider: aws_lc_rs::default_provider(),
            versions: rustls::ALL_VERSIONS.to_vec(),
        }
    }

    pub async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.config(), address).await
    }

    /// A configuration that remembers the tickets it is given.
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(self.provider.clone()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

pub async fn connect(
    config: Arc<ClientConfig>,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect_to("localhost", config, address).await
}

/// Connects to a server whose certificate must hold `name`.
pub async fn connect_to(
    name: &str,
    config: Arc<ClientConfig>,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    shake_hands(name, config, TcpStream::connect(address).await?).await
}

/// Shakes hands with such a server on an open connection. A wait that does not end is an error.
pub async fn shake_hands(
    name: &str,
    config: Arc<ClientConfig>,
    tcp: TcpStream,
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = name.to_owned().try_into().unwrap();
    timeout(SOON, TlsConnector::from(config).connect(name, tcp)).await?
}

/// Asks once over HTTP/1.1 on a new connection.
pub async fn get(
    roots: &Arc<RootCertStore>,
    address: SocketAddr,
    path: &str,
    token: &str,
) -> std::io::Result<Answer> {
    let stream = Offer::new(Arc::clone(roots), &["http/1.1"]).connect(address).await?;
    let mut sender = http1_on(stream).await?;
    send(&mut sender, request(path, token)).await
}

pub type Http1 = http1::SendRequest<Full<Bytes>>;

pub async fn http1_on(stream: TlsStream<TcpStream>) -> std::io::Result<Http1> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

pub async fn http2_on(stream: TlsStream<TcpStream>) -> http2::SendRequest<Full<Bytes>> {
    let io = TokioIo::new(stream);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn request(path: &str, token: &str) -> Request<Full<Bytes>> {
    Request::get(path)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {token}"))
        .body(Full::default())
        .unwrap()
}

/// Asks. A wait that does not end is an error.
pub async fn send(sender: &mut Http1, request: Request<Full<Bytes>>) -> std::io::Result<Answer> {
    let answer = async {
        sender.ready().await?;
        read(sender.send_request(request).await?).await
    };
    timeout(SOON, answer).await?.map_err(std::io::Error::other)
}

pub async fn read<B>(response: Response<B>) -> Result<Answer, B::Error>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let reason = response.extensions().get::<ReasonPhrase>();
    let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), reason, headers: head.headers, body })
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `code` of a problem.
    pub fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        problem["code"].as_str().unwrap().to_owned()
    }
}
