//! An API server that is down, slow, throttling or breaking connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::faulty::{Act, Faulty, status};
use super::{DEADLINE, Fixture, SHORT, VALUE, good, name, outcome, unavailable, until};
use crate::kubernetes::backoff;
use crate::secrets::{ReadError, SecretStore};

#[tokio::test]
async fn what_may_pass_is_tried_once_more() {
    let passing = [
        status("500 Internal Server Error"),
        status("503 Service Unavailable"),
        status("429 Too Many Requests"),
        Act::Answer("429 Too Many Requests", "Retry-After: 0\r\n", Vec::new()),
        Act::Reset(vec![b' '; 1000]),
        Act::Close,
    ];
    for (index, act) in passing.into_iter().enumerate() {
        let (read, requests) = outcome(vec![act.clone(), good()]).await;
        assert_eq!((read.as_deref(), requests), (Ok(VALUE), 2), "act {index}, then well");
        let (read, requests) = outcome(vec![act]).await;
        assert!(unavailable(&read), "act {index}, twice");
        assert_eq!(requests, 2, "act {index}, twice");
    }
}

#[tokio::test]
async fn retry_after_is_honoured_where_it_fits_and_handed_on_where_not() {
    let asks = |headers| Act::Answer("429 Too Many Requests", headers, Vec::new());
    let began = Instant::now();
    let (read, _) = outcome(vec![asks("Retry-After: 1\r\n"), good()]).await;
    assert_eq!(read.as_deref(), Ok(VALUE));
    assert!(began.elapsed() >= Duration::from_secs(1));

    let began = Instant::now();
    let (read, requests) = outcome(vec![asks("Retry-After: 60\r\n"), good()]).await;
    let Err(ReadError::Unavailable { retry_after, .. }) = read else { panic!("{read:?}") };
    assert_eq!((retry_after, requests), (Some(Duration::from_secs(60)), 1));
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_wait_that_does_not_fit_is_not_begun() {
    let [one, two] = [1, 2].map(Duration::from_secs);
    assert_eq!(backoff(Some(one), two, Duration::ZERO), Some(one));
    assert_eq!(backoff(Some(two), two, Duration::ZERO), None);
    assert_eq!(backoff(Some(one), two, one), None);
    assert!(backoff(None, two, Duration::ZERO).is_some());
    assert_eq!(backoff(None, Duration::ZERO, Duration::ZERO), None);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_deadline_and_holds_up_nobody() {
    let server = Faulty::planned(|index, _| if index == 0 { Act::Hang } else { good() }).await;
    let fixture = Arc::new(Fixture::over(&server, SHORT).await);
    let began = Instant::now();
    let hung = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.read().await.err() }
    });
    until(|| server.seen().len() == 1).await;
    assert!(fixture.read().await.is_ok());
    assert!(!hung.is_finished(), "the second read was held up behind the first");
    let error = ReadError::Unavailable { reason: "timed out", retry_after: None };
    assert_eq!(hung.await.unwrap(), Some(error));
    assert!(began.elapsed() >= SHORT && began.elapsed() < 3 * SHORT);
    assert!(fixture.read().await.is_ok());
}

#[tokio::test]
async fn the_deadline_holds_over_the_retry_too() {
    let slow = Act::Slow(SHORT / 2, Box::new(status("500 Internal Server Error")));
    let server = Faulty::new(vec![slow]).await;
    let fixture = Fixture::over(&server, SHORT).await;
    let began = Instant::now();
    assert!(matches!(
        fixture.read().await,
        Err(ReadError::Unavailable { reason: "timed out", .. })
    ));
    assert!(began.elapsed() < 3 * SHORT / 2);
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_slow_server_has_the_whole_deadline() {
    let server = Faulty::new(vec![Act::Slow(SHORT * 3 / 5, Box::new(good()))]).await;
    assert!(Fixture::over(&server, SHORT).await.read().await.is_ok());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_dropped_read_is_dropped_on_the_wire_too() {
    let server = Faulty::new(vec![Act::Hang]).await;
    let fixture = Fixture::over(&server, Duration::from_secs(600)).await;
    let name = name();
    let mut read = fixture.store.read(&name);
    tokio::select! {
        _ = &mut read => panic!("the server hangs"),
        () = until(|| server.seen().len() == 1) => {}
    }
    assert_eq!(server.open(), 1);
    drop(read);
    until(|| server.open() == 0).await;
}

#[tokio::test]
async fn a_server_that_is_down_is_told_at_once_and_used_again_when_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Faulty::start(listener, None, |_, _| good());
    let fixture = Fixture::over(&server, DEADLINE).await;
    assert!(fixture.read().await.is_ok());
    drop(server);
    let began = Instant::now();
    assert!(matches!(fixture.read().await, Err(ReadError::Unavailable { .. })));
    assert!(began.elapsed() < DEADLINE / 2);
    let listener = TcpListener::bind(address).await.unwrap();
    let _server = Faulty::start(listener, None, |_, _| good());
    assert!(fixture.read().await.is_ok());
}
