//! An API server for tests that misbehaves on demand, below HTTP too.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Act {
    /// Answers with a status line's end, header lines and a body.
    Answer(&'static str, &'static str, Vec<u8>),
    /// Answers like this, but only after a while.
    Slow(Duration, Box<Act>),
    /// Announces this body, writes half of it and resets the connection.
    Reset(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Never answers.
    Hang,
}

/// 200 with this body.
pub(super) fn ok(body: impl Into<Vec<u8>>) -> Act {
    Act::Answer("200 OK", "", body.into())
}

/// This status line's end with an empty body.
pub(super) fn status(status: &'static str) -> Act {
    Act::Answer(status, "", Vec::new())
}

/// A request: its first line, and its `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) authorization: String,
}

type Plan = dyn Fn(usize, &Seen) -> Act + Send + Sync;

/// What the connections share.
struct Shared {
    plan: Box<Plan>,
    seen: Mutex<Vec<Seen>>,
    /// Connections accepted, and those of them still open.
    accepted: AtomicUsize,
    open: AtomicUsize,
}

/// The server: it ends when dropped.
pub(super) struct Faulty {
    pub(super) port: u16,
    shared: Arc<Shared>,
    _task: JoinSet<()>,
}

impl Faulty {
    /// Does with the requests, in turn, what `acts` says; the last one goes for all that follow.
    pub(super) async fn new(acts: Vec<Act>) -> Self {
        Self::planned(move |index, _| acts[index.min(acts.len() - 1)].clone()).await
    }

    /// Does with each request what `plan` says of its index and content.
    pub(super) async fn planned(
        plan: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start(listener, None, plan)
    }

    /// The same over TLS.
    pub(super) async fn tls(tls: TlsAcceptor, acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start(listener, Some(tls), move |index, _| acts[index.min(acts.len() - 1)].clone())
    }

    /// On a listener that is already there.
    pub(super) fn start(
        listener: TcpListener,
        tls: Option<TlsAcceptor>,
        plan: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            plan: Box::new(plan),
            seen: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let mut task = JoinSet::new();
        task.spawn(accept(listener, tls, Arc::clone(&shared)));
        Self { port, shared, _task: task }
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many connections were accepted so far.
    pub(super) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            shared.accepted.fetch_add(1, Ordering::SeqCst);
            shared.open.fetch_add(1, Ordering::SeqCst);
            // How a connection ends is the matter of the test.
            let _ = match tls {
                None => plain(tcp, &shared).await,
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => serve(BufReader::new(stream), &shared).await.map(drop),
                    Err(error) => Err(error),
                },
            };
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn plain(tcp: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(tcp);
    if serve(&mut stream, shared).await? {
        // With a linger of zero, closing sends a RST.
        socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Serves one connection to its end. Whether it shall be reset.
async fn serve<S>(mut stream: S, shared: &Shared) -> io::Result<bool>
where
    S: AsyncBufReadExt + AsyncRead + AsyncWrite + Unpin,
{
    while let Some(seen) = read_head(&mut stream).await? {
        let index = {
            let mut all = shared.seen.lock().unwrap();
            all.push(seen.clone());
            all.len() - 1
        };
        let mut act = (shared.plan)(index, &seen);
        if let Act::Slow(wait, then) = act {
            tokio::time::sleep(wait).await;
            act = *then;
        }
        match act {
            Act::Answer(status, headers, body) => {
                write(&mut stream, status, headers, body.len(), &body).await?;
            }
            Act::Reset(body) => {
                write(&mut stream, "200 OK", "", body.len(), &body[..body.len() / 2]).await?;
                return Ok(true);
            }
            Act::Slow(..) | Act::Close => return Ok(false),
            // Until the client gives up.
            Act::Hang => while stream.read_line(&mut String::new()).await? > 0 {},
        }
    }
    Ok(false)
}

async fn read_head<S: AsyncBufReadExt + Unpin>(stream: &mut S) -> io::Result<Option<Seen>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let authorization = lines.iter().find_map(|line| line.strip_prefix("authorization: "));
    let authorization = authorization.unwrap_or_default().to_owned();
    Ok(Some(Seen { line: lines[0].clone(), authorization }))
}

async fn write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    status: &str,
    headers: &str,
    length: usize,
    body: &[u8],
) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

/// A CA, and an acceptor with a certificate of its for the name and the years given.
pub(super) fn authority(host: &str, valid: (i32, i32)) -> (String, TlsAcceptor) {
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);

    let mut params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(valid.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(valid.1, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca_certificate.pem(), TlsAcceptor::from(Arc::new(config)))
}

/// Writes a kubeconfig into `folder`: its CA is the file `ca.crt`, its token the file `token`
/// beside it, each if it is there.
pub(super) fn kubeconfig(folder: &Path, server: &str) -> std::path::PathBuf {
    let there = |key: &str, file: &str| {
        let path = folder.join(file);
        if path.exists() { format!("{key}: '{}'", path.display()) } else { String::new() }
    };
    let (ca, user) = (there("certificate-authority", "ca.crt"), there("tokenFile", "token"));
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: '{server}', {ca}}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: u, namespace: ours}}}}]\n"
    );
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    path
}
