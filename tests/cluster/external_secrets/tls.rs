//! TLS between ESO and the service: a new CA, and what the two agree on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::many::validations;
use super::rotation::{no_warning, refresh_for_ever};
use super::stage::{IN_TIME, Stage, edited};
use crate::harness::{self, ControlPlane, eventually, trial};
use crate::scout::{block_of, readme};
use crate::support::certs::Ca;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::a_new_ca_beside_the_old_one_fails_no_refresh", right_order),
        trial("external_secrets::a_new_ca_that_eso_does_not_know_yet_fails_refreshes", wrong_order),
        trial("external_secrets::keys_are_exchanged_post_quantum", post_quantum),
    ]
}

const PAGE: &str = include_str!("../../../docs/eso.md");

const EXAMPLE: &str = "example-external-secret";

/// A stage whose ExternalSecret is filled.
async fn stage(plane: &ControlPlane, prefix: &str) -> Result<Stage> {
    let stage = Stage::new(plane, prefix).await?;
    // The store is validated each second in place of each five minutes.
    let often = "spec:\n  refreshInterval: 1\n  provider:";
    stage.apply(&edited(readme("store")?, "spec:\n  provider:", often)?).await?;
    stage.store_ready().await?;
    stage.apply(readme("external-secret")?).await?;
    stage.filled(EXAMPLE, "example-secret").await?;
    Ok(stage)
}

/// Runs a block of docs/eso.md in a folder that holds both CAs.
async fn run_block(stage: &Stage, block: &str, old: &str, new: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("ca.crt"), old)?;
    std::fs::write(folder.path().join("new-ca.crt"), new)?;
    let block = block_of(PAGE, block)?;
    stage.kubectl.script(&format!("cd {}\n{block}", folder.path().display())).await?;
    Ok(())
}

async fn right_order() -> Result<()> {
    let mut stage = stage(&*harness::shared().await?, "ca-before").await?;
    let (old, ca) = (stage.scout.ca.pem(), Ca::new());
    let new = ca.pem();
    run_block(&stage, "ca-both", &old, &new).await?;
    some_more_refreshes(&stage).await?;
    stage.scout.take_certificate_of(ca).await?;
    some_more_refreshes(&stage).await?;
    run_block(&stage, "ca-new", &old, &new).await?;
    some_more_refreshes(&stage).await?;
    no_warning(&stage, EXAMPLE).await
}

/// Refreshes until the service was asked some more times.
async fn some_more_refreshes(stage: &Stage) -> Result<()> {
    let before = stage.requests().len();
    let enough = eventually("more requests", IN_TIME, || async {
        Ok((stage.requests().len() >= before + 4).then_some(()))
    });
    tokio::select! {
        stopped = refresh_for_ever(stage) => stopped,
        enough = enough => enough,
    }
}

async fn wrong_order() -> Result<()> {
    let plane = harness::shared().await?;
    let mut stage = stage(&plane, "ca-after").await?;
    let (old, ca) = (stage.scout.ca.pem(), Ca::new());
    let new = ca.pem();
    stage.scout.take_certificate_of(ca).await?;
    stage.refresh(EXAMPLE).await?;
    stage.told(EXAMPLE, "certificate signed by unknown authority").await?;

    // The store is looked at again, and sees nothing of that.
    let before = validations(&plane, &stage).await?;
    eventually("a validation", IN_TIME, || async {
        Ok((validations(&plane, &stage).await? > before).then_some(()))
    })
    .await?;
    stage.store_ready().await?;
    let target = stage.target("example-secret").await?.context("no target")?;
    ensure!(target.text("mykey")? == "correct horse \"battery\" staple");

    run_block(&stage, "ca-both", &old, &new).await?;
    stage.refresh(EXAMPLE).await?;
    stage.filled(EXAMPLE, "example-secret").await?;
    Ok(())
}

/// The group X25519MLKEM768, TLS 1.3, and extensions, as they are numbered on the wire.
const X25519MLKEM768: u16 = 0x11ec;
const TLS_1_3: [u8; 2] = [3, 4];
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

async fn post_quantum() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "post-quantum").await?;
    let wire = Wire::to(stage.scout.address).await?;
    let store = stage.fitted(readme("store")?);
    let service = stage.scout.address.to_string();
    stage.kubectl.apply(&edited(&store, &service, &wire.address.to_string())?).await?;
    stage.apply(readme("external-secret")?).await?;
    stage.filled(EXAMPLE, "example-secret").await?;

    let (client, server) = wire.first_hellos().context("no handshake on the wire")?;
    let client = extensions(&client, 1).context("no ClientHello")?;
    let server = extensions(&server, 2).context("no ServerHello")?;
    let find = |extensions: &[(u16, Vec<u8>)], kind| {
        extensions.iter().find(|(found, _)| *found == kind).map(|(_, data)| data.clone())
    };
    ensure!(find(&client, ALPN).is_none(), "ESO sends ALPN: {client:?}");
    ensure!(find(&server, SUPPORTED_VERSIONS).as_deref() == Some(&TLS_1_3), "{server:?}");
    let share = find(&server, KEY_SHARE).context("no key share")?;
    // The group, a length, and the share itself: a ciphertext of ML-KEM-768 and a key of X25519.
    let share = Reader(&share).u16().zip(share.len().checked_sub(4));
    ensure!(share == Some((X25519MLKEM768, 1088 + 32)), "{server:?}");
    Ok(())
}

/// What a client and a server have sent on one connection.
type Sent = Arc<Mutex<[Vec<u8>; 2]>>;

/// A wire to a server, on which the first bytes of each connection are kept.
struct Wire {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Sent>>>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let sent = Sent::default();
                all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&sent));
                tokio::spawn(async move {
                    let server = TcpStream::connect(server).await?;
                    let (client, server) = (client.into_split(), server.into_split());
                    tokio::try_join!(
                        pass(client.0, server.1, &sent, 0),
                        pass(server.0, client.1, &sent, 1)
                    )
                });
            }
        });
        Ok(Self { address, connections })
    }

    /// What was sent on the first connection that carried anything: ESO opens others to see whether
    /// it can.
    fn first_hellos(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().find_map(|sent| {
            let [client, server] = &*sent.lock().unwrap_or_else(PoisonError::into_inner);
            (!server.is_empty()).then(|| (client.clone(), server.clone()))
        })
    }
}

/// Passes on what arrives, and keeps it.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    sent: &Sent,
    side: usize,
) -> std::io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer).await?;
        let arrived = buffer.get(..length).unwrap_or_default();
        if arrived.is_empty() {
            return to.shutdown().await;
        }
        if let Some(kept) = sent.lock().unwrap_or_else(PoisonError::into_inner).get_mut(side) {
            kept.extend_from_slice(arrived);
        }
        to.write_all(arrived).await?;
    }
}

/// The extensions of a ClientHello (1) or a ServerHello (2), the first message of its side.
fn extensions(sent: &[u8], message: u8) -> Option<Vec<(u16, Vec<u8>)>> {
    let mut record = Reader(Reader(sent.get(3..)?).vector(2)?);
    (record.take(1)? == [message]).then_some(())?;
    let mut hello = Reader(record.vector(3)?);
    hello.take(2 + 32)?; // the version of old, the random bytes
    hello.vector(1)?; // the session
    if message == 1 {
        hello.vector(2)?; // the suites
        hello.vector(1)?; // the compressions
    } else {
        hello.take(2 + 1)?; // one of each
    }
    let mut extensions = Reader(hello.vector(2)?);
    let mut all = Vec::new();
    while !extensions.0.is_empty() {
        all.push((extensions.u16()?, extensions.vector(2)?.to_vec()));
    }
    Some(all)
}

/// Reads TLS's own encoding.
struct Reader<'bytes>(&'bytes [u8]);

impl<'bytes> Reader<'bytes> {
    fn take(&mut self, length: usize) -> Option<&'bytes [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// Bytes behind their length, which takes `width` bytes.
    fn vector(&mut self, width: usize) -> Option<&'bytes [u8]> {
        let length = self.take(width)?.iter().fold(0, |length, byte| length << 8 | *byte as usize);
        self.take(length)
    }
}
