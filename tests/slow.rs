//! Slow clients against the program as it is started by default: each is closed soon after the
//! 10 s that a wait may take, and whoever asks beside them is answered.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::iter::{empty, repeat};
use std::net::SocketAddr;
use std::time::Duration;

use support::client::{self, Offer};
use support::folder::{HTTPS, Site, admin};
use support::process::{Running, wait_until};
use support::{frames, metrics};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

/// Within which a slow client is closed.
const CLOSED: Duration = Duration::from_secs(15);

/// Between two bytes of a slow client.
const PACE: Duration = Duration::from_millis(500);

/// Sends these bytes slowly and then none, until the peer closes.
async fn drip(
    what: &str,
    stream: impl AsyncRead + AsyncWrite,
    bytes: impl IntoIterator<Item = u8>,
) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let drips = async {
        for byte in bytes {
            // The peer may have closed already: reading tells.
            let _ = writer.write_all(&[byte]).await;
            sleep(PACE).await;
        }
        std::future::pending::<()>().await;
    };
    let mut sink = Vec::new();
    let closed = async {
        tokio::select! {
            () = drips => {}
            _ = reader.read_to_end(&mut sink) => {}
        }
    };
    assert!(timeout(CLOSED, closed).await.is_ok(), "{what}: not closed within {CLOSED:?}");
}

async fn tls(site: &Site, address: SocketAddr) -> TlsStream<TcpStream> {
    Offer::new(site.ca.roots(), &[]).connect(address).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_handshakes_heads_and_bodies_are_closed_within_15_seconds_and_hurt_nobody() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    wait_until("it is ready", || admin(&mut running, "/readyz").0 == 200);

    let head = "GET /webhook?key=a HTTP/1.1\r\nHost: x\r\nX: ".bytes().chain(repeat(b'x'));
    let body = "POST /webhook?key=a HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n";
    let mut bodies = tls(&site, address).await;
    bodies.write_all(body.as_bytes()).await.unwrap();
    let http2 = frames::connect(site.ca.roots(), address).await;
    let pings = frames::frame(frames::PING, 0, 0, &[0; 8]).into_iter().cycle();
    // The beginning of a long record with a ClientHello.
    let hello = [0x16, 3, 1, 0x3f, 0, 1].into_iter().chain(repeat(0));
    let slow = async {
        tokio::join!(
            drip("silence", TcpStream::connect(address).await.unwrap(), empty()),
            drip("handshake", TcpStream::connect(address).await.unwrap(), hello),
            drip("no request", tls(&site, address).await, empty()),
            drip("head", tls(&site, address).await, head),
            drip("body", bodies, repeat(b'x')),
            drip("HTTP/2 without a stream", http2, pings),
        )
    };
    let beside = async {
        loop {
            let path = "/webhook?key=a&property=value";
            let answer = client::get(&site.ca.roots(), address, path, &site.token).await.unwrap();
            assert_eq!(answer.status, 200);
            sleep(PACE).await;
        }
    };
    tokio::select! {
        _ = slow => {}
        () = beside => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_taken_byte_by_byte_is_given_up() {
    let site = Site::new();
    // More than the kernel holds of an answer that is not read.
    let large = format!("value: {}", "x".repeat(1 << 20));
    site.write("large", "scout.vsecm.com/serve: 'true'", &large);
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    wait_until("it is ready", || admin(&mut running, "/readyz").0 == 200);
    let open = |running: &mut Running| {
        let (_, metrics) = admin(running, "/metrics");
        metrics::value(&metrics, "vsecm_scout_connections_open")
    };

    let mut stream = tls(&site, address).await;
    let head = format!("Host: x\r\nAuthorization: Bearer {}\r\n\r\n", site.token);
    stream
        .write_all(format!("GET /webhook?key=large HTTP/1.1\r\n{head}").as_bytes())
        .await
        .unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(open(&mut running), 1.0);
    // The client would see the end only behind all that is on its way: the server tells.
    let closed = async {
        while open(&mut running) > 0.0 {
            stream.read_exact(&mut [0]).await.unwrap();
            sleep(PACE).await;
        }
    };
    assert!(timeout(CLOSED, closed).await.is_ok(), "not closed within {CLOSED:?}");
}
