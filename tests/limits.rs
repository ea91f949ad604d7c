//! What connections and requests may take, over real sockets: nobody wears the door out.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use prometheus_client::registry::Registry;
use support::client::{self, Http1, Offer};
use support::metrics::{text, value};
use support::service::{DRAIN, LIMITS, Running, SHORT_LIMITS, Site, router_for};
use support::store::{Behaviour, served};
use support::{SOON, closed, eventually, frames};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use vsecm_scout::server::{Drain, Ended, Limits};

/// More than the kernel's buffers of a connection hold.
const BIG: usize = 4 << 20;

fn at_most(max_connections: usize) -> Limits {
    Limits { max_connections: NonZeroUsize::new(max_connections).unwrap(), ..LIMITS }
}

async fn connect(running: &Running) -> TlsStream<TcpStream> {
    Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap()
}

/// A connection on which the token was accepted.
async fn accepted(site: &Site, running: &Running) -> Http1 {
    let mut sender = client::http1_on(connect(running).await).await.unwrap();
    let answer = client::send(&mut sender, client::request("/webhook?key=a", &site.token)).await;
    assert_eq!(answer.unwrap().status, 200);
    sender
}

/// A site with a value of `BIG` bytes.
fn big_site() -> Site {
    let site = Site::new();
    let big = vec![b'x'; BIG];
    site.store.set("default/big", Behaviour::Holds(Arc::new(served(&[("v", &big)]))));
    site
}

/// Asks for the big value, and takes nothing of it but its head.
async fn take_nothing(site: &Site, running: &Running) -> TlsStream<TcpStream> {
    let mut stream = connect(running).await;
    let request = format!(
        "GET /webhook?key=big&property=v HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        site.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

async fn all_of(mut stream: TlsStream<TcpStream>) -> std::io::Result<usize> {
    let (mut total, mut buffer) = (0, vec![0; 64 * 1024]);
    loop {
        match timeout(SOON, stream.read(&mut buffer)).await.unwrap()? {
            0 => return Ok(total),
            read => total += read,
        }
        if total > BIG {
            return Ok(total);
        }
    }
}

#[tokio::test]
async fn at_the_cap_one_that_carried_no_accepted_request_makes_room_then_the_longest_idle() {
    let site = Site::new();
    let running = site.start(at_most(3));
    let (first, second) = (accepted(&site, &running).await, accepted(&site, &running).await);
    let mut refused = client::http1_on(connect(&running).await).await.unwrap();
    let answer = client::send(&mut refused, client::request("/webhook?key=a", "wrong")).await;
    assert_eq!(answer.unwrap().status, 401);

    let third = accepted(&site, &running).await;
    eventually("the refused one is closed", || std::future::ready(refused.is_closed())).await;
    assert!(!first.is_closed() && !second.is_closed());
    let _fourth = accepted(&site, &running).await;
    eventually("the longest idle is closed", || std::future::ready(first.is_closed())).await;
    assert!(!second.is_closed() && !third.is_closed());
    assert_eq!(running.closed("made-room"), 2.0);
}

#[tokio::test]
async fn a_flood_of_idle_connections_locks_nobody_out() {
    let site = Site::new();
    let running = site.start(at_most(8));
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(TcpStream::connect(running.address).await.unwrap());
        if flood.len() % 10 == 0 {
            assert_eq!(site.get(&running).await.unwrap(), 200);
        }
    }
    for evicted in flood.drain(..80) {
        closed(evicted).await;
    }
}

#[tokio::test]
async fn where_all_are_busy_a_newcomer_is_closed_and_the_busy_one_gets_its_answer() {
    let site = big_site();
    let running = site.start(at_most(1));
    let busy = take_nothing(&site, &running).await;
    closed(TcpStream::connect(running.address).await.unwrap()).await;
    assert_eq!(running.closed("no-room"), 1.0);
    assert!(all_of(busy).await.unwrap() >= BIG);
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

#[tokio::test]
async fn where_all_are_busy_a_newcomer_waits_for_one_that_ends() {
    let site = Site::new();
    // It is answered when its deadline ends.
    site.store.set("default/slow", Behaviour::Hangs);
    let running = site.start(at_most(1));
    let mut busy = client::http1_on(connect(&running).await).await.unwrap();
    let before = site.store.reads();
    let slow = client::request("/webhook?key=slow", &site.token);
    let asked = tokio::spawn(async move { client::send(&mut busy, slow).await });
    eventually("the read is under way", || std::future::ready(site.store.reads() == before + 2))
        .await;
    assert_eq!(site.get(&running).await.unwrap(), 200);
    assert_eq!(asked.await.unwrap().unwrap().status, 503);
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_last_byte_is_written_and_beyond_the_cap_is_503() {
    let site = big_site();
    let (router, _) = router_for(site.store.clone(), 1);
    let running = Running::start(&site.ca, site.folder.path(), router, LIMITS, DRAIN);
    let unread = take_nothing(&site, &running).await;
    let path = "/webhook?key=a";
    let answer = client::get(&running.roots, running.address, path, &site.token).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "overloaded"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!(all_of(unread).await.unwrap() >= BIG);
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_closed() {
    let site = big_site();
    let (router, _) = router_for(site.store.clone(), 1);
    let running = Running::start(&site.ca, site.folder.path(), router, SHORT_LIMITS, DRAIN);
    let unread = take_nothing(&site, &running).await;
    let again = async || site.get(&running).await.is_ok_and(|status| status == 200);
    eventually("its place is given back", again).await;
    assert_eq!(running.closed("stalled"), 1.0);
    // It ends early, or with a reset.
    assert!(all_of(unread).await.map_or(true, |read| read < BIG));
}

#[tokio::test]
async fn an_http2_stream_of_which_nothing_is_taken_ends_its_connection_whatever_else_moves_on_it() {
    let site = big_site();
    let running = site.start(SHORT_LIMITS);
    let stream = Offer::new(running.roots.clone(), &["h2"]).connect(running.address).await.unwrap();
    let mut sender = client::http2_on(stream).await;
    let ask = |key: &str| {
        Request::get(format!("https://localhost/webhook?key={key}&property=v"))
            .header("authorization", format!("Bearer {}", site.token))
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let unread = sender.send_request(ask("big")).await.unwrap();
    let moves = async {
        while let Ok(answer) = sender.send_request(ask("a")).await {
            let _ = answer.into_body().collect().await;
        }
    };
    timeout(SOON, moves).await.expect("the connection is closed");
    assert!(unread.into_body().collect().await.is_err(), "it was cut off");
    assert_eq!(running.closed("stalled"), 1.0);
}

/// A connection with that many refused requests in flight, whose answers are not taken.
async fn leave_refusals(
    running: &Running,
    registry: &Registry,
    count: u32,
) -> TlsStream<TcpStream> {
    let mut stream = frames::connect(running.roots.clone(), running.address).await;
    let initial_window_size = [0, 4, 0, 0, 0, 0];
    let mut requests = frames::frame(frames::SETTINGS, 0, 0, &initial_window_size);
    requests.extend((0..count).flat_map(|stream| frames::get(2 * stream + 1)));
    stream.write_all(&requests).await.unwrap();
    in_flight(registry, count).await;
    stream
}

async fn in_flight(registry: &Registry, count: u32) {
    let shown = || value(&text(registry), "vsecm_scout_requests_in_flight");
    let are_there = || std::future::ready(shown() == f64::from(count));
    eventually("as many are in flight", are_there).await;
}

#[tokio::test]
async fn refusals_that_nobody_takes_hold_up_no_other_request() {
    let site = Site::new();
    let (router, registry) = router_for(site.store.clone(), 8);
    let running = Running::start(&site.ca, site.folder.path(), router, LIMITS, DRAIN);
    let mut unread = leave_refusals(&running, &registry, 8).await;
    assert_eq!(site.get(&running).await.unwrap(), 200);
    frames::until_closed(&mut unread).await;
    eventually("it is counted", async || running.closed("made-room") == 1.0).await;
    in_flight(&registry, 0).await;
}

#[tokio::test]
async fn refusals_that_nobody_takes_keep_no_place_at_the_cap() {
    let site = Site::new();
    let (router, registry) = router_for(site.store.clone(), 8);
    let running = Running::start(&site.ca, site.folder.path(), router, at_most(1), DRAIN);
    let mut unread = leave_refusals(&running, &registry, 1).await;
    assert_eq!(site.get(&running).await.unwrap(), 200);
    frames::until_closed(&mut unread).await;
    assert_eq!(running.closed("made-room"), 1.0);
}

#[tokio::test]
async fn an_admin_connection_that_is_in_use_is_not_closed_as_idle() {
    let running = Site::new().start(SHORT_LIMITS);
    let mut stream = TcpStream::connect(running.admin).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < 2 * SHORT_LIMITS.header {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            answer.push(stream.read_u8().await.expect("it is open"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "));
        sleep(SHORT_LIMITS.header / 8).await;
    }
    closed(stream).await;
}

#[tokio::test]
async fn http2_without_a_stream_is_told_to_go_away() {
    let site = Site::new();
    let running = site.start(SHORT_LIMITS);
    let stream = Offer::new(running.roots.clone(), &["h2"]).connect(running.address).await.unwrap();
    let sender = client::http2_on(stream).await;
    eventually("it is closed", || std::future::ready(sender.is_closed())).await;

    let mut silent = frames::connect(running.roots.clone(), running.address).await;
    let said = frames::until_closed(&mut silent).await;
    assert!(frames::has(&said, frames::GOAWAY), "a client that reacts to nothing is closed too");
    eventually("both are counted", async || running.closed("idle") == 2.0).await;
}

#[tokio::test]
async fn a_flood_of_http2_resets_ends_its_connection() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let mut stream = frames::connect(running.roots.clone(), running.address).await;
    let mut flood = Vec::new();
    for stream in 0..20_000 {
        flood.extend(frames::get(2 * stream + 1));
        flood.extend(frames::reset(2 * stream + 1));
    }
    let _ = stream.write_all(&flood).await;
    let said = frames::until_closed(&mut stream).await;
    assert!(said.is_empty() || frames::has(&said, frames::GOAWAY));
    eventually("it is counted", async || running.closed("protocol-error") == 1.0).await;
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

#[tokio::test]
async fn a_flood_of_http2_continuations_ends_its_connection() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let mut stream = frames::connect(running.roots.clone(), running.address).await;
    let mut flood = frames::frame(frames::HEADERS, 0, 1, &[0x82]);
    for _ in 0..1000 {
        // A literal header field, name and value of one byte, not indexed.
        flood.extend(frames::frame(frames::CONTINUATION, 0, 1, &[0, 1, b'a', 1, b'b'].repeat(200)));
    }
    let _ = stream.write_all(&flood).await;
    frames::until_closed(&mut stream).await;
    eventually("it is counted", async || running.closed("protocol-error") == 1.0).await;
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

#[tokio::test]
async fn heads_that_another_server_could_read_otherwise_are_400_and_the_end() {
    let site = Site::new();
    let running = site.start(LIMITS);
    for head in [
        "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 5\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nX-Folded: a\r\n b\r\n",
        "GET /webhook HTTP/1.1\r\nHost : x\r\n",
        "GET /webhook HTTP/1.1\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\r\nHost: x\r\n",
        "GET /webhook HTTP/1.0\r\nHost: x\r\nHost: x\r\n",
        "GET /webhook HTTP/1.1\r\nHost:\r\n",
        "GET /webhook HTTP/1.1\r\nHost: user@x\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x, y\r\n",
        "GET /webhook HTTP/1.1\r\nHost: x\0\r\n",
        "GET https://x/webhook HTTP/1.1\r\nHost: x:port\r\n",
        "GET https://user@x/webhook HTTP/1.1\r\nHost: x\r\n",
    ] {
        let mut stream = connect(&running).await;
        stream.write_all(format!("{head}\r\n0\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let version = &answer[..8];
        assert!(answer.starts_with(&format!("{version} 400 ")), "{head:?}: {answer}");
        let answers = answer.matches(&format!("{version} 4")).count();
        assert_eq!(answers, 1, "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn an_http2_head_of_any_size_is_refused_and_its_client_may_send_the_rest() {
    let site = Site::new();
    let running = site.start(LIMITS);
    // A literal field whose value goes on and on, not indexed.
    let begin = [0x82, 0, 1, b'a', 0x7f, 0xff, 0xff, 0x7f];
    let begin = frames::frame(frames::HEADERS, 0, 1, &begin);
    let go_on = frames::frame(frames::CONTINUATION, 0, 1, &[b'x'; 16 * 1024]);
    for _ in 0..20 {
        let mut stream = frames::connect(running.roots.clone(), running.address).await;
        stream.write_all(&[&begin[..], &go_on.repeat(8)].concat()).await.unwrap();
        let said = frames::until_closed(&mut stream).await;
        assert!(frames::has(&said, frames::GOAWAY));
        for _ in 8..64 {
            stream.write_all(&go_on).await.expect("the server reads on");
        }
    }
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

/// A client that was refused in the middle of its head, has read that, and keeps its side open.
async fn refused(running: &Running) -> TlsStream<TcpStream> {
    let mut stream = connect(running).await;
    stream.write_all(&[b'x'; 64 * 1024]).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 4"));
    stream
}

#[tokio::test]
async fn a_refused_client_that_goes_on_sending_makes_room_at_the_cap_and_is_closed_in_time() {
    let site = Site::new();
    let running = site.start(at_most(1));
    let mut lingering = refused(&running).await;
    lingering.write_all(b"more").await.unwrap();
    assert_eq!(site.get(&running).await.unwrap(), 200);
    assert_eq!(running.closed("made-room"), 1.0);

    let mut lingering = refused(&running).await;
    let sends_on = async {
        while lingering.write_all(b"more").await.is_ok() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, sends_on).await.expect("its time is bounded");
}

#[tokio::test]
async fn a_refused_client_that_keeps_its_side_open_does_not_hold_up_the_end() {
    let mut running = Site::new().start(LIMITS);
    let _lingering = refused(&running).await;
    running.stop();
    assert_eq!(timeout(SOON, running.ended()).await.unwrap(), Ended::Drained);
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_once_also_where_its_client_keeps_it() {
    let site = Site::new();
    let running = site.start(SHORT_LIMITS);
    let mut sender = client::http1_on(connect(&running).await).await.unwrap();
    let answer = client::send(&mut sender, client::request("/webhook", "opaque")).await;
    assert_eq!(answer.unwrap().status, 401);
    let mut idle = connect(&running).await;
    let _ = timeout(SOON, idle.read(&mut [0])).await.unwrap();
    let told = Instant::now();
    eventually("both are closed", async || running.closed("idle") == 2.0).await;
    assert!(told.elapsed() < SHORT_LIMITS.header, "{:?}", told.elapsed());
}

#[tokio::test]
async fn in_the_shutdown_delay_new_connections_are_served_each_for_one_request() {
    let site = Site::new();
    let drain = Drain { delay: SOON, ..DRAIN };
    let (router, _) = router_for(site.store.clone(), 512);
    let mut running = Running::start(&site.ca, site.folder.path(), router, LIMITS, drain);
    let mut old = accepted(&site, &running).await;
    running.stop();
    let path = "/webhook?key=a";
    let ask = async || client::get(&running.roots, running.address, path, &site.token).await;
    eventually("answers announce the end", async || {
        let answer = ask().await.unwrap();
        assert_eq!(answer.status, 200);
        answer.header("connection") == Some("close")
    })
    .await;
    let answer = client::send(&mut old, client::request(path, &site.token)).await.unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));

    let stream = Offer::new(running.roots.clone(), &["h2"]).connect(running.address).await.unwrap();
    let mut sender = client::http2_on(stream).await;
    let request = Request::get("https://localhost/webhook").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 401);
    eventually("HTTP/2 is told to go", || std::future::ready(sender.is_closed())).await;
}
