//! What the API server's answers mean.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use zeroize::Zeroizing;

use super::faulty::{Act, Faulty, ok, status};
use super::{DEADLINE, Fixture, VALUE, failure, good, outcome, secret_with, unavailable};
use crate::kubernetes::connection::{MAX_BODY, append};
use crate::secrets::ReadError;

#[tokio::test]
async fn a_secret_arrives_whole_with_the_exact_bytes_of_a_large_value() {
    let large: Vec<u8> = (0..1 << 20).map(|index| (index * 31 % 251) as u8).collect();
    let data = json!({"large": STANDARD.encode(&large), "empty": "", "null": null});
    let server = Faulty::new(vec![ok(secret_with(data))]).await;
    let secret = Fixture::over(&server, DEADLINE).await.read().await.ok().unwrap();
    assert!(secret.entries["large"].as_ref() == large.as_slice());
    assert!(secret.entries["empty"].is_empty() && secret.entries["null"].is_empty());
    assert_eq!(secret.entries.len(), 3);
    assert_eq!(secret.kind, "Opaque");
    assert_eq!((secret.labels["l"].as_str(), &secret.annotations["n"][..]), ("1", &b"2"[..]));
}

#[tokio::test]
async fn a_secret_without_data_has_no_entries() {
    for data in [json!(null), json!({})] {
        let server = Faulty::new(vec![ok(secret_with(data))]).await;
        let secret = Fixture::over(&server, DEADLINE).await.read().await.ok().unwrap();
        assert!(secret.entries.is_empty());
    }
}

#[tokio::test]
async fn each_read_is_one_plain_get_of_its_own_over_the_same_connection() {
    let server = Faulty::planned(|index, _| {
        ok(secret_with(json!({"k": STANDARD.encode(index.to_string())})))
    })
    .await;
    let fixture = Fixture::over(&server, DEADLINE).await;
    for index in 0..10 {
        let secret = fixture.read().await.ok().unwrap();
        assert_eq!(secret.entries["k"].as_ref(), index.to_string().as_bytes());
    }
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, vec!["GET /api/v1/namespaces/ours/secrets/a HTTP/1.1"; 10]);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn only_a_not_found_of_this_very_secret_says_that_it_is_not_there() {
    let answer = |body: String| Act::Answer("404 Not Found", "", body.into_bytes());
    let real = failure("NotFound", "secrets", "a");
    assert_eq!(outcome(vec![answer(real.clone())]).await, (Err(ReadError::NotFound), 1));
    for other in [
        failure("NotFound", "secrets", "b"),
        failure("NotFound", "configmaps", "a"),
        failure("NotFound", "namespaces", "ours"),
        failure("Gone", "secrets", "a"),
        real.replace("Failure", "Success"),
        real.replace("\"Status\"", "\"Secret\""),
        real.replace("\"v1\"", "\"v2\""),
        real[..real.len() - 1].to_owned(),
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"})
            .to_string(),
        "<html>404 page not found</html>".to_owned(),
        String::new(),
    ] {
        let (read, requests) = outcome(vec![answer(other.clone())]).await;
        assert!(unavailable(&read), "{other} is no answer to rely on");
        assert_eq!(requests, 1);
    }
    let with_200 = outcome(vec![ok(real)]).await;
    assert!(unavailable(&with_200.0));
}

#[tokio::test]
async fn forbidden_is_what_the_api_server_says_and_not_a_proxy() {
    let answer = |body: String| Act::Answer("403 Forbidden", "", body.into_bytes());
    let real = failure("Forbidden", "secrets", "a");
    assert_eq!(outcome(vec![answer(real)]).await, (Err(ReadError::Forbidden), 1));
    for other in ["<html>Forbidden</html>".to_owned(), failure("NotFound", "secrets", "a")] {
        let (read, requests) = outcome(vec![answer(other)]).await;
        assert!(unavailable(&read));
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn other_statuses_are_no_answer_and_are_not_retried() {
    for line in [
        "201 Created",
        "204 No Content",
        "302 Found",
        "400 Bad Request",
        "409 Conflict",
        "410 Gone",
        "502 Bad Gateway",
        "504 Gateway Timeout",
    ] {
        let (read, requests) = outcome(vec![status(line), good()]).await;
        assert!(unavailable(&read), "{line}");
        assert_eq!(requests, 1, "{line}");
    }
}

#[tokio::test]
async fn nonsense_with_200_yields_nothing() {
    let whole = secret_with(json!({"k": STANDARD.encode(VALUE)}));
    for (why, body) in [
        ("truncated", whole[..whole.len() - 1].to_owned()),
        ("HTML", "<html>Welcome</html>".to_owned()),
        ("empty", String::new()),
        ("another kind", whole.replace("\"Secret\"", "\"ConfigMap\"")),
        ("another version", whole.replace("\"v1\"", "\"v2\"")),
        ("another name", whole.replace("\"a\"", "\"b\"")),
        ("another namespace", whole.replace("\"ours\"", "\"theirs\"")),
        ("data that is no map", secret_with(json!("text"))),
        ("a value that is no text", secret_with(json!({"k": 1}))),
        ("more behind it", format!("{whole}{whole}")),
        ("too large", format!("{whole}{}", " ".repeat(MAX_BODY))),
    ] {
        let (read, requests) = outcome(vec![ok(body), good()]).await;
        assert!(unavailable(&read), "{why}: {read:?}");
        assert_eq!(requests, 1, "{why}");
    }
}

#[tokio::test]
async fn an_entry_that_is_not_base64_is_told_apart() {
    let bad = secret_with(json!({"k": "aHVudGVy!", "good": "Zw=="}));
    assert_eq!(outcome(vec![ok(bad)]).await, (Err(ReadError::InvalidData), 1));
}

#[test]
fn a_growing_body_is_kept_whole() {
    let mut bytes = Zeroizing::new(Vec::new());
    for index in 0..100_u8 {
        append(&mut bytes, &[index; 100]);
    }
    let expected: Vec<u8> = (0..100_u8).flat_map(|index| [index; 100]).collect();
    assert!(*bytes == expected);
}
