//! TLS and HTTP over real sockets.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use prometheus_client::registry::Registry;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, kx_group};
use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, NamedGroup};
use support::certs::files;
use support::client::{self, Offer};
use support::metrics::{text, value};
use support::service::{DRAIN, LIMITS, Running, SHORT_LIMITS, Site, router};
use support::store::Behaviour;
use support::{SOON, closed, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vsecm_scout::server::{Drain, Ended};

/// The longest head.
const MAX_HEAD: usize = 16 * 1024;

/// The serial-bearing certificate that the server shows.
async fn certificate(running: &Running) -> Vec<u8> {
    let stream = Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// The value of a metric of the certificate.
fn counted(running: &Running, name: &str) -> f64 {
    let mut registry = Registry::default();
    running.certificate.metrics().register(&mut registry);
    value(&text(&registry), name)
}

#[tokio::test]
async fn versions_and_suites_are_those_of_the_contract_and_nothing_older() {
    let site = Site::new();
    let running = site.start(LIMITS);
    for (version, suites) in [
        (&TLS13, [suite::TLS13_AES_256_GCM_SHA384, suite::TLS13_CHACHA20_POLY1305_SHA256]),
        (
            &TLS12,
            [
                suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
            ],
        ),
    ] {
        for suite in suites {
            let mut offer = Offer::new(running.roots.clone(), &[]);
            offer.versions = vec![version];
            offer.provider.cipher_suites = vec![suite];
            let stream = offer.connect(running.address).await.unwrap();
            assert_eq!(
                stream.get_ref().1.negotiated_cipher_suite().unwrap().suite(),
                suite.suite()
            );
        }
    }
    let mut offer = Offer::new(running.roots.clone(), &[]);
    offer.versions = vec![&TLS12];
    offer.provider.cipher_suites = vec![suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    assert!(offer.connect(running.address).await.is_err(), "AES-128 is not offered in TLS 1.2");

    site.ca.issue_rsa().write(site.folder.path());
    assert!(running.certificate.reload().unwrap());
    for (suite, accepted) in [
        (suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true),
        (suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, true),
        (suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false),
    ] {
        offer.provider.cipher_suites = vec![suite];
        assert_eq!(offer.connect(running.address).await.is_ok(), accepted, "{suite:?}");
    }
}

#[tokio::test]
async fn a_client_that_prefers_post_quantum_key_exchange_gets_it() {
    let site = Site::new();
    let running = site.start(LIMITS);
    for (offered, version, group) in [
        // As Go offers them, and with it ESO.
        (
            vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
            &TLS13,
            NamedGroup::X25519MLKEM768,
        ),
        (vec![kx_group::X25519], &TLS13, NamedGroup::X25519),
        (vec![kx_group::X25519MLKEM768, kx_group::X25519], &TLS12, NamedGroup::X25519),
    ] {
        let mut offer = Offer::new(running.roots.clone(), &[]);
        offer.provider.kx_groups = offered;
        offer.versions = vec![version];
        let stream = offer.connect(running.address).await.unwrap();
        let negotiated = stream.get_ref().1.negotiated_key_exchange_group().unwrap();
        assert_eq!(negotiated.name(), group);
    }
}

#[tokio::test]
async fn a_client_that_speaks_both_gets_http1_and_its_reason_phrase() {
    let site = Site::new();
    let running = site.start(LIMITS);
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some(&b"http/1.1"[..])),
        (&["h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ] {
        let stream =
            Offer::new(running.roots.clone(), offered).connect(running.address).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
    }
    let answer = client::get(&running.roots, running.address, "/webhook", "opaque").await.unwrap();
    assert_eq!((answer.status, answer.reason.as_deref()), (401, Some("token-not-jwt")));
}

#[tokio::test]
async fn http2_is_answered_alike() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let stream = Offer::new(running.roots.clone(), &["h2"]).connect(running.address).await.unwrap();
    let mut sender = client::http2_on(stream).await;
    let mut ask = async |path: &str, token: &str, body: &str| {
        let request = Request::get(format!("https://localhost{path}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Full::<Bytes>::from(body.to_owned()))
            .unwrap();
        client::read(sender.send_request(request).await.unwrap()).await
    };
    let answer = ask("/webhook?key=a&property=v", &site.token, "").await.unwrap();
    assert_eq!((answer.status, answer.text()), (200, "\"value\""));
    assert_eq!(ask("/webhook?key=none", &site.token, "").await.unwrap().code(), "no-such-secret");
    let refused = ask("/webhook?key=a", &site.token, &"x".repeat(2 << 20)).await.unwrap();
    assert_eq!(refused.code(), "body-not-allowed");
    eventually("the connection ends after a body", || std::future::ready(sender.is_closed())).await;
}

#[tokio::test]
async fn a_body_over_http1_ends_the_connection() {
    let site = Site::new();
    let running = site.start(LIMITS);
    for body in ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let mut stream =
            Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap();
        let request = format!("GET /webhook?key=a HTTP/1.1\r\nHost: x\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 body-not-allowed\r\n"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn heads_beyond_the_limit_are_refused() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let status = async |head: String| {
        let stream = Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let write = tokio::spawn(async move { writer.write_all(head.as_bytes()).await });
        let mut answer = [0; 12];
        reader.read_exact(&mut answer).await.unwrap();
        let _ = write.await;
        String::from_utf8_lossy(&answer[9..]).into_owned()
    };
    let with = |before: &str, after: &str, size: usize| {
        let filler = "x".repeat(size - before.len() - after.len());
        format!("{before}{filler}{after}")
    };
    let url = |size| with("GET /webhook?key=", " HTTP/1.1\r\nHost: x\r\n\r\n", size);
    let bearer = "GET /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ";
    let header = |size| with(bearer, "\r\n\r\n", size);
    for (head, expected) in [
        (url(8 * 1024), "401"),
        (url(8 * 1024 + 256), "414"),
        (url(MAX_HEAD), "414"),
        (url(MAX_HEAD + 1), "431"),
        (url(64 * 1024), "431"),
        (url(1024 * 1024), "431"),
        (header(MAX_HEAD), "401"),
        (header(MAX_HEAD + 1), "431"),
        (header(64 * 1024), "431"),
        (header(1024 * 1024), "431"),
    ] {
        let size = head.len();
        assert_eq!(status(head).await, expected, "{size}");
    }
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

#[tokio::test]
async fn http2_heads_beyond_the_limit_are_refused_and_the_connection_lives() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let stream = Offer::new(running.roots.clone(), &["h2"]).connect(running.address).await.unwrap();
    let mut sender = client::http2_on(stream).await;
    let mut ask = async |fields: usize, size: usize, path: &str| {
        let mut request = Request::get(format!("https://localhost{path}"));
        for field in 0..fields {
            request = request.header(format!("x-{field}"), "x".repeat(size / fields));
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        sender.send_request(request).await.unwrap().status().as_u16()
    };
    let long = format!("/webhook?key={}", "x".repeat(20 * 1024));
    for (fields, size, path, status) in [
        (1, 15 * 1024, "/webhook", 401),
        (1, MAX_HEAD, "/webhook", 431),
        (3, 20 * 1024, "/webhook", 431),
        (5, 40 * 1024, "/webhook", 431),
        (1, 64 * 1024, "/webhook", 431),
        (9, 64 * 1024, "/webhook", 431),
        (2, 100 * 1024, "/webhook", 431),
        // Small fields are counted with what each of them costs.
        (400, 4000, "/webhook", 431),
        (1, 1, long.as_str(), 431),
        (1, 1, "/webhook", 401),
    ] {
        assert_eq!(ask(fields, size, path).await, status, "{fields} {size}");
    }
}

#[tokio::test]
async fn one_ticket_is_issued_and_resumes() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let client = Offer::new(running.roots.clone(), &[]).config();
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = client::connect(client.clone(), running.address).await.unwrap();
        let request = b"GET /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let connection = stream.get_ref().1;
        assert_eq!(connection.tls13_tickets_received(), 1);
        assert_eq!(connection.handshake_kind(), Some(kind));
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_and_the_old_connection_lives() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let stream = Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap();
    let mut old = client::http1_on(stream).await.unwrap();
    let old_certificate = certificate(&running).await;

    let new = site.ca.issue();
    new.write(site.folder.path());
    assert!(running.certificate.reload().unwrap());
    assert!(!running.certificate.reload().unwrap(), "nothing has changed since");
    assert_eq!(counted(&running, "certificate_reloads_total"), 1.0);
    assert_eq!(counted(&running, "certificate_reload_failures_total"), 0.0);
    assert_eq!(certificate(&running).await, new.der);
    assert_ne!(old_certificate, new.der);
    let answer = client::send(&mut old, client::request("/webhook?key=a", &site.token)).await;
    assert_eq!(answer.unwrap().status, 200);
}

#[tokio::test]
async fn a_bad_new_pair_keeps_the_last_good_one() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let good = certificate(&running).await;
    let (other, paths) = (site.ca.issue(), files(site.folder.path()));
    let (chain, key) = (other.chain.as_bytes(), other.key.as_bytes());
    let current = std::fs::read(&paths.key).unwrap();
    for (chain, key) in [
        (&b"garbage"[..], &b"garbage"[..]),
        (chain, &current),
        (&chain[..chain.len() / 2], key),
        (chain, &key[..key.len() / 2]),
        (b"", b""),
        (key, chain),
    ] {
        std::fs::write(&paths.chain, chain).unwrap();
        std::fs::write(&paths.key, key).unwrap();
        assert!(running.certificate.reload().is_err());
        assert_eq!(certificate(&running).await, good);
    }
    std::fs::remove_file(&paths.key).unwrap();
    assert!(running.certificate.reload().is_err());
    assert_eq!(counted(&running, "certificate_reload_failures_total"), 7.0);
    other.write(site.folder.path());
    assert!(running.certificate.reload().unwrap());
    assert_eq!(certificate(&running).await, other.der);
}

#[tokio::test]
async fn a_chain_is_taken_whole_or_not_at_all() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let (intermediate, paths) = (site.ca.intermediate(), files(site.folder.path()));
    let pair = intermediate.issue();
    let write = |parts: &[&str], key: &str| {
        std::fs::write(&paths.chain, parts.concat()).unwrap();
        std::fs::write(&paths.key, key).unwrap();
    };
    let (leaf, issuer, root) = (&*pair.chain, &*intermediate.pem(), &*site.ca.pem());
    write(&[leaf, issuer], &pair.key);
    assert!(running.certificate.reload().unwrap());
    assert_eq!(certificate(&running).await, pair.der, "a client that knows the root alone");
    write(&[leaf, issuer, root], &pair.key);
    assert!(running.certificate.reload().unwrap(), "with the root");

    let older = site.ca.intermediate().pem();
    let (new, garbage) = (intermediate.issue(), issuer.replace("CERTIFICATE", "GARBAGE"));
    let (half, leaf) = (issuer.split_at(issuer.len() / 2).0, &*new.chain);
    for (parts, says) in [
        (&[leaf, &garbage][..], "a block of an unknown kind"),
        (&[leaf, issuer, &garbage], "a block of an unknown kind"),
        (&[leaf, half], "has no end"),
        (&[half, "\n", leaf], "has no end"),
        (&[leaf, issuer, &new.key], "a private key"),
        (&[&new.key, leaf, issuer], "a private key"),
        (&[leaf, root], "did not issue certificate 1"),
        (&[leaf, &older], "did not sign certificate 1"),
        (&[issuer, leaf], "is the key of certificate 2"),
        (&[leaf, issuer, leaf], "did not issue certificate 2"),
        (&[&pair.chain, leaf, issuer], "is the key of certificate 2"),
        (&[&pair.chain, issuer], "is not the key of the certificate"),
    ] {
        write(parts, &new.key);
        let error = running.certificate.reload().unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        assert_eq!(certificate(&running).await, pair.der);
    }
    assert_eq!(counted(&running, "certificate_reload_failures_total"), 12.0);
    write(&[leaf, issuer], &new.key);
    assert!(running.certificate.reload().unwrap());
    assert_eq!(certificate(&running).await, new.der);
}

#[tokio::test]
async fn a_certificate_outside_its_validity_is_found_whichever_of_the_chain_it_is() {
    let site = Site::new();
    let running = site.start(LIMITS);
    let now = SystemTime::now();
    let outside = || running.certificate.outside_validity_at(now).map(|found| found.to_string());
    assert_eq!(outside(), None);
    let (hour, paths) = (Duration::from_secs(3600), files(site.folder.path()));
    let expired = site.ca.intermediate_until(now - hour);
    let pair = expired.issue();
    pair.write(site.folder.path());
    std::fs::write(&paths.chain, pair.chain + &expired.pem()).unwrap();
    assert!(running.certificate.reload().unwrap());
    assert!(outside().unwrap().starts_with("certificate 2 of the chain expired at 20"));
    site.ca.issue_from(now + hour).write(site.folder.path());
    assert!(running.certificate.reload().unwrap());
    assert!(outside().unwrap().starts_with("not valid before 20"));
    site.ca.issue_until(now - hour).write(site.folder.path());
    assert!(running.certificate.reload().unwrap());
    assert!(outside().unwrap().starts_with("expired at 20"));
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_yet_is_loaded_all_the_same() {
    let site = Site::new();
    let start = SystemTime::now() + Duration::from_secs(3600);
    site.ca.issue_from(start).write(site.folder.path());
    let running = site.start(LIMITS);
    let shown = counted(&running, "certificate_not_before_timestamp_seconds");
    let start = start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(shown, start as f64, "monitoring sees it");
    let error = site.get(&running).await.unwrap_err();
    assert!(error.to_string().contains("not valid yet"), "{error}");
}

#[tokio::test]
async fn an_expired_certificate_is_loaded_all_the_same() {
    let site = Site::new();
    let ended = SystemTime::now() - Duration::from_secs(60);
    site.ca.issue_until(ended).write(site.folder.path());
    let running = site.start(LIMITS);
    let expiry = counted(&running, "certificate_expiry_timestamp_seconds");
    let ended = ended.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(expiry, ended as f64, "monitoring sees it");
    assert!(counted(&running, "certificate_not_before_timestamp_seconds") < expiry);
    let error = site.get(&running).await.unwrap_err();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn aborted_and_stalled_handshakes_hurt_nobody_and_are_closed() {
    let site = Site::new();
    let running = site.start(SHORT_LIMITS);
    for _ in 0..50 {
        drop(TcpStream::connect(running.address).await.unwrap());
    }
    let stalled = TcpStream::connect(running.address).await.unwrap();
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    assert_eq!(site.get(&running).await.unwrap(), 200);
    closed(stalled).await;
    closed(half).await;
}

#[tokio::test]
async fn plain_http_and_garbage_on_the_tls_port_are_closed() {
    let site = Site::new();
    let running = site.start(LIMITS);
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0; 100], b"\xff\xff\xff\xff\xff"] {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        closed(stream).await;
    }
    assert_eq!(site.get(&running).await.unwrap(), 200);
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let site = Site::new();
    let running = site.start(SHORT_LIMITS);
    let connect = async || Offer::new(running.roots.clone(), &[]).connect(running.address).await;

    let mut slow = connect().await.unwrap();
    slow.write_all(b"GET /webhook HTTP/1.1\r\nHost:").await.unwrap();
    closed(slow).await;

    let silent = connect().await.unwrap();
    closed(silent).await;

    let mut idle = connect().await.unwrap();
    idle.write_all(b"GET /webhook HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(SOON, idle.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 no-token\r\n"));
    assert!(!answer.contains("connection: close"), "it was kept alive, and closed when idle");
}

#[tokio::test]
async fn a_request_under_way_is_answered_while_the_server_stops() {
    let site = Site::new();
    // It is answered when its deadline ends.
    site.store.set("default/slow", Behaviour::Hangs);
    let mut running = site.start(LIMITS);
    let connect = async || Offer::new(running.roots.clone(), &[]).connect(running.address).await;
    let mut idle = client::http1_on(connect().await.unwrap()).await.unwrap();
    let first = client::send(&mut idle, client::request("/webhook?key=a", &site.token)).await;
    assert_eq!(first.unwrap().status, 200);

    let mut busy = client::http1_on(connect().await.unwrap()).await.unwrap();
    let before = site.store.reads();
    let request = client::request("/webhook?key=slow", &site.token);
    let asked = tokio::spawn(async move { client::send(&mut busy, request).await });
    eventually("the read is under way", || std::future::ready(site.store.reads() == before + 2))
        .await;
    running.stop();
    eventually("the idle connection is closed", || std::future::ready(idle.is_closed())).await;
    let answer = asked.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
    let address = running.address;
    assert_eq!(running.ended().await, Ended::Drained);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_a_line_too() {
    let site = Site::new();
    let log = site.folder.path().join("log");
    let file = Arc::new(std::fs::File::create(&log).unwrap());
    // The other tests in this process write there too.
    tracing_subscriber::fmt().json().flatten_event(true).with_writer(file).init();
    site.store.set("default/abandoned", Behaviour::Hangs);
    let running = site.start(LIMITS);
    let mut stream = Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap();
    let request = format!(
        "GET /webhook?key=abandoned HTTP/1.1\r\nHost: x\r\nX-Request-Id: no id\r\n\
         Authorization: Bearer {}\r\n\r\n",
        site.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    eventually("the read is under way", || std::future::ready(site.store.reads() == 2)).await;
    drop(stream);
    let audited = || -> Vec<serde_json::Value> {
        let log = std::fs::read_to_string(&log).unwrap();
        let lines = log.lines().flat_map(serde_json::from_str);
        lines.filter(|line: &serde_json::Value| line["key"] == "default/abandoned").collect()
    };
    eventually("the line is written", || std::future::ready(!audited().is_empty())).await;
    assert_eq!(site.get(&running).await.unwrap(), 200);
    let lines = audited();
    assert_eq!((lines.len(), &lines[0]["code"]), (1, &"caller-gone".into()));
    assert_eq!(lines[0].get("status"), None, "nobody was answered");
    assert_eq!(lines[0].get("client_request_id"), None, "it is not fit for a log");
}

#[tokio::test]
async fn the_end_of_the_grace_cuts_requests_off_and_says_so() {
    let site = Site::new();
    site.store.set("default/slow", Behaviour::Hangs);
    let router = router(site.store.clone());
    let drain = Drain { grace: Duration::from_millis(50), ..DRAIN };
    let start = || Running::start(&site.ca, site.folder.path(), router.clone(), LIMITS, drain);

    let mut running = start();
    let silent = TcpStream::connect(running.address).await.unwrap();
    running.stop();
    assert_eq!(running.ended().await, Ended::Drained, "a connection without a request is no loss");
    drop(silent);

    let mut running = start();
    let stream = Offer::new(running.roots.clone(), &[]).connect(running.address).await.unwrap();
    let mut busy = client::http1_on(stream).await.unwrap();
    let before = site.store.reads();
    let request = client::request("/webhook?key=slow", &site.token);
    let asked = tokio::spawn(async move { client::send(&mut busy, request).await });
    eventually("the read is under way", || std::future::ready(site.store.reads() == before + 2))
        .await;
    running.stop();
    assert_eq!(running.ended().await, Ended::CutOff);
    asked.abort();
}
