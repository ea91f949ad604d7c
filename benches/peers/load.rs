//! The load: clients on one core that ask a server again and again and check each answer.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustls::ClientConfig;
use rustls::client::{Resumption, TicketRequest};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

use crate::pinned::Pinned;

/// The core of the clients; servers run on core 0.
const CORE: usize = 1;

/// However fast a server is, a round ends here.
const MAX_REQUESTS: usize = 2_000_000;

/// What is asked of a server, and what it must answer.
#[derive(Clone)]
pub(crate) struct Question {
    /// Path and query.
    pub(crate) path: String,
    /// The body of the answer.
    pub(crate) answer: String,
}

/// Which connections the requests are sent on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    /// One for each client, for all its requests.
    KeptAlive,
    /// A new one for each request, with a full handshake; closed after the answer.
    Fresh,
    /// Likewise, and left open, as External Secrets Operator leaves them.
    LeftOpen,
}

/// When the load ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// After this time; each request asks a question at random.
    After(Duration),
    /// When each question was asked once.
    EachOnce,
}

/// All that clients need to know.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) connector: TlsConnector,
    pub(crate) token: String,
    pub(crate) questions: Arc<[Question]>,
    pub(crate) clients: usize,
    pub(crate) connections: Connections,
    pub(crate) end: End,
}

/// What the clients saw.
pub(crate) struct Outcome {
    pub(crate) elapsed: Duration,
    /// Of each request, from before its connection was opened, if it was fresh.
    pub(crate) latencies: Vec<Duration>,
    /// Requests without an answer, on connections that are left open; elsewhere one ends the load.
    pub(crate) failed: usize,
    /// Connections left open are closed when it is dropped.
    _open: oneshot::Sender<()>,
}

/// TLS 1.3 with the key exchange and the suite that all servers have, and no resumption.
pub(crate) fn connector(certificate: CertificateDer<'static>) -> Result<TlsConnector> {
    let provider = Arc::new(CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..aws_lc_rs::default_provider()
    });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { certificate, provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    // ESO's client, which is Go's, says by another extension that it takes no tickets; rustls has
    // this one for it.
    config.send_ticket_request = Some(TicketRequest { new_session_count: 0, resumption_count: 0 });
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Load {
    /// Runs it on a thread of its own, pinned to its core.
    pub(crate) async fn run(self, address: SocketAddr) -> Result<Outcome> {
        let (done, outcome) = oneshot::channel();
        thread::spawn(move || {
            let mut core = CpuSet::new();
            core.set(CORE);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let prepared = sched_setaffinity(None, &core)
                .with_context(|| format!("the load cannot be pinned to core {CORE}"))
                .and_then(|()| Ok(runtime?));
            match prepared {
                Ok(runtime) => runtime.block_on(Clients { load: self, address }.run(done)),
                Err(error) => drop(done.send(Err(error))),
            }
        });
        outcome.await.context("the load's thread has ended")?
    }
}

/// The clients of a load.
struct Clients {
    load: Load,
    address: SocketAddr,
}

impl Clients {
    async fn run(self, done: oneshot::Sender<Result<Outcome>>) {
        let (open, closed) = oneshot::channel();
        let (begun, asked) = (Instant::now(), Cell::new(0));
        let failed = Cell::new(0);
        let clients = (0..self.load.clients).map(|_| self.client(begun, &asked, &failed));
        // Connections live as long as these.
        let (outcome, _senders) = match futures_util::future::try_join_all(clients).await {
            Ok(clients) => {
                let (latencies, senders): (Vec<_>, Vec<_>) = clients.into_iter().unzip();
                let (elapsed, latencies) = (begun.elapsed(), latencies.concat());
                let failed = failed.get();
                (Ok(Outcome { elapsed, latencies, failed, _open: open }), senders)
            }
            Err(error) => (Err(error), Vec::new()),
        };
        if done.send(outcome).is_ok() {
            let _ = closed.await;
        }
    }

    /// One client: the latencies of its requests, and its connections that are still open.
    async fn client(
        &self,
        begun: Instant,
        asked: &Cell<usize>,
        failed: &Cell<usize>,
    ) -> Result<(Vec<Duration>, Vec<Connection>)> {
        let (mut latencies, mut open) = (Vec::new(), Vec::new());
        while let Some(question) = self.next_question(begun, asked) {
            let start = Instant::now();
            let kept =
                if self.load.connections == Connections::KeptAlive { open.pop() } else { None };
            match self.ask_on(kept, question).await {
                Ok(_) if self.load.connections == Connections::Fresh => {}
                Ok(connection) => open.push(connection),
                Err(_) if self.load.connections == Connections::LeftOpen => {
                    failed.set(failed.get() + 1);
                    continue;
                }
                Err(error) => return Err(error),
            }
            latencies.push(start.elapsed());
        }
        Ok((latencies, open))
    }

    async fn ask_on(&self, kept: Option<Connection>, question: &Question) -> Result<Connection> {
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        self.ask(&mut connection, question).await?;
        Ok(connection)
    }

    fn next_question(&self, begun: Instant, asked: &Cell<usize>) -> Option<&Question> {
        let number = asked.replace(asked.get() + 1);
        match self.load.end {
            End::EachOnce => self.load.questions.get(number),
            End::After(time) if begun.elapsed() >= time || number >= MAX_REQUESTS => None,
            End::After(_) => self.load.questions.get(fastrand::usize(..self.load.questions.len())),
        }
    }

    async fn connect(&self) -> Result<Connection> {
        let tcp = TcpStream::connect(self.address).await.context("cannot connect")?;
        tcp.set_nodelay(true)?;
        let tls = self.load.connector.connect("localhost".try_into()?, tcp).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends what ESO sends.
    async fn ask(&self, connection: &mut Connection, question: &Question) -> Result<()> {
        let request = Request::get(&question.path)
            .header("host", "localhost:8443")
            .header("user-agent", "Go-http-client/1.1")
            .header("authorization", format!("Bearer {}", self.load.token))
            .header("accept-encoding", "gzip")
            .body(Empty::new())?;
        connection.ready().await?;
        let response = connection.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status == 200 && body == question.answer,
            "{status} {body:?} for {}",
            question.path
        );
        Ok(())
    }
}

type Connection = SendRequest<Empty<Bytes>>;
