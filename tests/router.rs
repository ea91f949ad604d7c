//! The endpoint without sockets: who may ask × what is asked × what the source says.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http_body_util::Full;
use hyper::{Request, Version};
use support::client::{self, Answer};
use support::service::router as router_over;
use support::store::{Behaviour, Scripted, secret, served};
use support::token::{token, with_header};
use tower::ServiceExt;
use vsecm_scout::http;
use vsecm_scout::secrets::{ReadError, Secret};

const TOKEN: &str = "default/jwt-token";

fn holds(secret: Secret) -> Behaviour {
    Behaviour::Holds(Arc::new(secret))
}

/// A source with a valid token and one Secret, and that token.
fn source() -> (Arc<Scripted>, String) {
    let store = Arc::new(Scripted::default());
    let token = token(r#"{"sub":"tests"}"#);
    store.set(TOKEN, holds(secret(&[("token", token.as_bytes())])));
    let entries: &[(&str, &[u8])] =
        &[("username", b"scout"), ("json", br#"{"n": 1.50, "z": null}"#)];
    store.set("default/a", holds(served(entries)));
    (store, token)
}

async fn ask(store: &Arc<Scripted>, request: Request<Body>) -> Answer {
    let response = router_over(store.clone()).oneshot(request).await.unwrap();
    client::read(response).await.unwrap()
}

async fn get(store: &Arc<Scripted>, path: &str, token: &str) -> Answer {
    ask(store, client::request(path, token).map(Body::new)).await
}

fn bare(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()
}

/// What every problem has in common.
fn check_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.reason.as_deref(), Some(code));
    assert!(answer.headers.contains_key("x-request-id"));
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["type"].is_string());
    assert_eq!(
        answer.headers.contains_key("www-authenticate"),
        status == 401 || code.ends_with("authorization")
    );
    assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
    assert_eq!(answer.headers.contains_key("allow"), status == 405);
}

#[tokio::test]
async fn a_value_comes_with_the_headers_that_keep_it_out_of_caches() {
    let (store, token) = source();
    for (query, expected) in [
        ("key=a", r#"{"json":"{\"n\": 1.50, \"z\": null}","username":"scout"}"#),
        ("key=a&property=username", r#""scout""#),
        ("key=default/a&path=json.n", r#""1.50""#),
        ("key=key%3Da%26path%3Djson.n", r#""1.50""#),
        ("key=a&property=json.z", "null"),
        ("key=a&property=username&encoding=base64", r#""c2NvdXQ=""#),
    ] {
        let answer = get(&store, &format!("/webhook?{query}"), &token).await;
        assert_eq!((answer.status, answer.text()), (200, expected), "{query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("vary"), Some("Accept"));
        assert_eq!(answer.reason, None);
    }
}

#[tokio::test]
async fn head_tells_what_get_would_without_the_value() {
    let (store, token) = source();
    let mut request = client::request("/webhook?key=a&property=username", &token).map(Body::new);
    *request.method_mut() = hyper::Method::HEAD;
    let answer = ask(&store, request).await;
    assert_eq!((answer.status, answer.text()), (200, ""));
    assert_eq!(answer.header("content-length"), Some("7"));
}

#[tokio::test]
async fn raw_bytes_are_answered_where_they_are_asked_for_by_name() {
    let (store, token) = source();
    store.set("default/bin", holds(served(&[("b", b"\xff\x00"), ("t", b"text")])));
    let raw = |query: &str| {
        let mut request = client::request(&format!("/webhook?{query}"), &token).map(Body::new);
        let accept = hyper::header::HeaderValue::from_static("application/octet-stream");
        request.headers_mut().insert("accept", accept);
        request
    };
    let answer = ask(&store, raw("key=bin&property=b")).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"\xff\x00"[..]));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    assert_eq!(ask(&store, raw("key=bin&property=t")).await.text(), "text");
    assert_eq!(ask(&store, raw("key=bin&property=b&encoding=base64")).await.text(), "/wA=");
    assert_eq!(ask(&store, raw("key=a&property=json.z")).await.text(), "");
    check_problem(&ask(&store, raw("key=bin")).await, 400, "raw-needs-property");
    check_problem(&ask(&store, raw("key=bin&property=x")).await, 422, "no-such-entry");

    let answer = get(&store, "/webhook?key=bin", &token).await;
    check_problem(&answer, 422, "not-text");
    assert!(answer.text().contains(r#"entry \"b\""#));
    assert!(answer.text().contains("encoding=base64") && answer.text().contains("octet-stream"));
}

#[tokio::test]
async fn one_mebibyte_is_answered_exactly() {
    let (store, token) = source();
    let value: Vec<u8> = (0..1_u32 << 20).map(|index| b'a' + (index % 26) as u8).collect();
    store.set("default/big", holds(served(&[("v", &value)])));
    let answer = get(&store, "/webhook?key=big&property=v", &token).await;
    assert_eq!(answer.status, 200);
    assert_eq!(serde_json::from_slice::<String>(&answer.body).unwrap().into_bytes(), value);
}

#[tokio::test]
async fn an_empty_value_is_a_text_and_an_empty_secret_an_object() {
    let (store, token) = source();
    store.set("default/empty", holds(served(&[])));
    store.set("default/blank", holds(served(&[("v", b"")])));
    assert_eq!(get(&store, "/webhook?key=empty", &token).await.text(), "{}");
    assert_eq!(get(&store, "/webhook?key=blank", &token).await.text(), r#"{"v":""}"#);
    assert_eq!(get(&store, "/webhook?key=blank&property=v", &token).await.text(), r#""""#);
}

#[tokio::test]
async fn an_authorization_that_is_none_costs_no_read() {
    let (store, token) = source();
    let cases: &[(&[&str], u16, &str)] = &[
        (&[], 401, "no-token"),
        (&["Basic YTpi"], 401, "no-token"),
        (&["Bearer"], 401, "no-token"),
        (&["Bearer <no value>"], 401, "token-not-rendered"),
        (&["Bearer opaque"], 401, "token-not-jwt"),
        (&["Bearer a.b.c, Bearer d.e.f"], 400, "malformed-authorization"),
        (&["Bearer\ta.b.c"], 400, "malformed-authorization"),
        (&["Bearer a.b.c", "Bearer a.b.c"], 400, "repeated-authorization"),
    ];
    for (headers, status, code) in cases {
        let mut request = bare("/webhook?key=a");
        for header in *headers {
            request.headers_mut().append("authorization", header.parse().unwrap());
        }
        let answer = ask(&store, request).await;
        check_problem(&answer, *status, code);
        let challenge = answer.header("www-authenticate").unwrap();
        let error = match (*status, *code) {
            (_, "no-token") => "",
            (401, _) => r#", error="invalid_token""#,
            _ => r#", error="invalid_request""#,
        };
        assert_eq!(challenge, format!(r#"Bearer realm="vsecm-scout"{error}"#));
    }
    let mut bytes = bare("/webhook?key=a");
    let value = hyper::header::HeaderValue::from_bytes(b"Bearer \xff.b.c").unwrap();
    bytes.headers_mut().insert("authorization", value);
    check_problem(&ask(&store, bytes).await, 400, "malformed-authorization");
    assert_eq!(store.reads(), 0);

    for scheme in ["bearer", "BEARER", "Bearer  "] {
        let mut request = bare("/webhook?key=a");
        let header = format!("{scheme} {token}").parse().unwrap();
        request.headers_mut().insert("authorization", header);
        assert_eq!(ask(&store, request).await.status, 200, "{scheme}");
    }
}

#[tokio::test]
async fn a_bearer_is_judged_by_the_stored_token() {
    let (store, wrong) = source();
    let hour = 3600.0;
    let now = jiff::Timestamp::now().as_second() as f64;
    for (stored, sent, status, code) in [
        (token(r#"{"exp":1}"#), None, 401, "token-expired"),
        (token(r#"{"nbf":9e9}"#), None, 401, "token-not-yet-valid"),
        (token(&format!(r#"{{"exp":{}}}"#, now - 10.0)), None, 200, ""),
        (token(&format!(r#"{{"nbf":{}}}"#, now + 10.0)), None, 200, ""),
        // A clock an hour off.
        (token(&format!(r#"{{"nbf":{}}}"#, now + hour)), None, 401, "token-not-yet-valid"),
        (token(&format!(r#"{{"exp":{}}}"#, now - hour)), None, 401, "token-expired"),
        (token(r#"{"exp":1}"#), Some(&wrong), 401, "token-mismatch"),
        (token("{}"), Some(&wrong), 401, "token-mismatch"),
        (with_header(r#"{"alg":"NonE"}"#, "{}"), None, 500, "stored-token-alg-none"),
        (token(r#"{"exp":"9e9"}"#), None, 500, "stored-token-bad-claims"),
        (token(r#"{"exp":null}"#), Some(&wrong), 500, "stored-token-bad-claims"),
        ("opaque".to_owned(), Some(&wrong), 500, "stored-token-not-jwt"),
        (format!("\u{feff}{wrong}"), Some(&wrong), 500, "stored-token-not-jwt"),
        (format!("{wrong}\n{wrong}"), Some(&wrong), 500, "stored-token-not-jwt"),
        ("x".repeat(1 << 20), Some(&wrong), 500, "stored-token-not-jwt"),
        (" \n".to_owned(), Some(&wrong), 500, "token-entry-missing"),
        (format!("{wrong}\r\n"), Some(&wrong), 200, ""),
        (format!("{wrong}  "), Some(&wrong), 200, ""),
    ] {
        store.set(TOKEN, holds(secret(&[("token", stored.as_bytes())])));
        let answer = get(&store, "/webhook?key=a", sent.unwrap_or(&stored)).await;
        if status == 200 {
            assert_eq!(answer.status, 200, "{stored}");
        } else {
            check_problem(&answer, status, code);
        }
    }
    let same_length = format!("{}X", &wrong[..wrong.len() - 1]);
    store.set(TOKEN, holds(secret(&[("token", wrong.as_bytes())])));
    check_problem(&get(&store, "/webhook?key=a", &same_length).await, 401, "token-mismatch");
}

#[tokio::test]
async fn a_token_secret_that_cannot_be_read_lets_nobody_in() {
    let (store, token) = source();
    let unavailable = |seconds: Option<u64>| ReadError::Unavailable {
        reason: "for a test",
        retry_after: seconds.map(Duration::from_secs),
    };
    for (behaviour, status, code) in [
        (Behaviour::Fails(ReadError::NotFound), 500, "token-secret-missing"),
        (holds(secret(&[("other", b"x")])), 500, "token-entry-missing"),
        (Behaviour::Fails(ReadError::Forbidden), 500, "rbac-forbidden"),
        (Behaviour::Fails(ReadError::InvalidData), 500, "invalid-data"),
        (Behaviour::Fails(ReadError::DuplicateManifest), 500, "duplicate-manifest"),
        (Behaviour::Fails(ReadError::UnreadableManifest), 500, "unreadable-manifest"),
        (Behaviour::Fails(unavailable(None)), 503, "api-unavailable"),
        (Behaviour::Fails(ReadError::Overloaded), 503, "overloaded"),
        (Behaviour::Hangs, 503, "deadline-exceeded"),
        (Behaviour::Panics, 500, "internal-error"),
    ] {
        store.set(TOKEN, behaviour);
        check_problem(&get(&store, "/webhook?key=a", &token).await, status, code);
    }
    store.set(TOKEN, Behaviour::Fails(unavailable(Some(7))));
    let answer = get(&store, "/webhook?key=a", &token).await;
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn each_state_of_the_value_has_its_status() {
    let (store, token) = source();
    let mut account = served(&[("token", b"x")]);
    account.kind = "kubernetes.io/service-account-token".to_owned();
    let mut bootstrap = served(&[("token-id", b"x")]);
    bootstrap.kind = "bootstrap.kubernetes.io/token".to_owned();
    let unavailable = ReadError::Unavailable { reason: "for a test", retry_after: None };
    for (behaviour, status, code) in [
        (Behaviour::Fails(ReadError::NotFound), 404, "no-such-secret"),
        (Behaviour::Fails(ReadError::Forbidden), 500, "rbac-forbidden"),
        (Behaviour::Fails(ReadError::InvalidData), 500, "invalid-data"),
        (Behaviour::Fails(ReadError::DuplicateManifest), 500, "duplicate-manifest"),
        (Behaviour::Fails(ReadError::UnreadableManifest), 500, "unreadable-manifest"),
        (Behaviour::Fails(unavailable), 503, "api-unavailable"),
        (Behaviour::Fails(ReadError::Overloaded), 503, "overloaded"),
        (Behaviour::Hangs, 503, "deadline-exceeded"),
        (Behaviour::Panics, 500, "internal-error"),
        (holds(secret(&[("v", b"x")])), 403, "not-labelled"),
        (holds(account), 403, "never-served"),
        (holds(bootstrap), 403, "never-served"),
        (holds(served(&[("w", b"x")])), 422, "no-such-entry"),
        (holds(served(&[("v", b"x")])), 422, "no-such-path"),
        (holds(served(&[("v.w", b"\xff")])), 422, "not-text"),
    ] {
        store.set("default/s", behaviour);
        let answer = get(&store, "/webhook?key=s&property=v.w", &token).await;
        check_problem(&answer, status, code);
        assert!(!answer.text().contains("hunter2"));
    }
}

#[tokio::test]
async fn what_is_never_served_is_not_even_read() {
    let (store, token) = source();
    let before = store.reads();
    for (key, status, code) in [
        ("jwt-token", 403, "never-served"),
        ("default/jwt-token", 403, "never-served"),
        ("kube-system/a", 403, "namespace-not-served"),
    ] {
        check_problem(&get(&store, &format!("/webhook?key={key}"), &token).await, status, code);
    }
    assert_eq!(store.reads() - before, 3, "one read of the token each");
    check_problem(&get(&store, "/webhook?key=apps/a", &token).await, 404, "no-such-secret");
}

#[tokio::test]
async fn a_bad_query_is_refused_before_any_value_is_read() {
    let (store, token) = source();
    for (query, code, named) in [
        ("", "missing-key", None),
        ("?key=", "missing-key", None),
        ("?key=a&key=a", "repeated-parameter", Some("key")),
        ("?key=a&propety=x", "unknown-parameter", Some("propety")),
        ("?key=a&access_token=eyJhbGciOiJIUzI1NiJ9", "unknown-parameter", Some("access_token")),
        ("?key=a&%3Cscript%3E=1", "unknown-parameter", None),
        ("?key=%zz", "malformed-query", None),
        ("?key=%ff", "malformed-query", None),
        ("?key=a%00", "malformed-query", None),
        ("?key=../a", "invalid-key", None),
        ("?key=A", "invalid-key", None),
        ("?key=a&property=x&path=y", "conflicting-property", None),
        ("?key=a&encoding=hex", "unknown-encoding", None),
        ("?key=a&version=2", "no-versions", None),
    ] {
        let before = store.reads();
        let answer = get(&store, &format!("/webhook{query}"), &token).await;
        check_problem(&answer, 400, code);
        assert_eq!(store.reads() - before, 1, "{query}: only the token is read");
        let named = named.map(|name| format!("parameter \"{name}\""));
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        if code != "invalid-key" {
            assert_eq!(problem["detail"].as_str(), named.as_deref(), "{query}");
        }
        assert!(!answer.text().contains("eyJ"), "a token in the query is written nowhere");
    }
    let long = format!("/webhook?key=a&property={}", "x".repeat(9000));
    check_problem(&get(&store, &long, &token).await, 414, "uri-too-long");
}

#[tokio::test]
async fn the_checks_come_in_their_order() {
    let (store, good) = source();
    let none = String::new();
    let wrong = token(r#"{"sub":"wrong"}"#);
    // Each request has all the faults of those below it.
    let faulty = |method: &str, path: &str, token: &str, body: &'static str| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = match token {
            "" => request,
            token => request.header("authorization", format!("Bearer {token}")),
        };
        request.body(Body::new(Full::from(body))).unwrap()
    };
    for (method, path, token, body, status, code) in [
        ("POST", "/other?propety=", &none, "body", 400, "unknown-path"),
        ("POST", "/webhook/?propety=", &none, "body", 400, "unknown-path"),
        ("POST", "/webhook?propety=", &none, "body", 405, "method-not-allowed"),
        ("OPTIONS", "/webhook", &none, "", 405, "method-not-allowed"),
        ("PUT", "/webhook", &none, "", 405, "method-not-allowed"),
        ("GET", "/webhook?propety=", &none, "body", 400, "body-not-allowed"),
        ("GET", "/webhook?propety=", &none, "", 401, "no-token"),
        ("GET", "/webhook?propety=", &wrong, "", 401, "token-mismatch"),
        ("GET", "/webhook?key=kube-system/UPPER", &good, "", 400, "invalid-key"),
        ("GET", "/webhook?key=kube-system/none", &good, "", 403, "namespace-not-served"),
        ("GET", "/webhook?key=none", &good, "", 404, "no-such-secret"),
    ] {
        let answer = ask(&store, faulty(method, path, token, body)).await;
        check_problem(&answer, status, code);
    }
    store.set("default/plain", holds(secret(&[])));
    let answer = get(&store, "/webhook?key=plain&property=none", &good).await;
    check_problem(&answer, 403, "not-labelled");
    assert_eq!(
        ask(&store, faulty("POST", "/webhook", &none, "")).await.header("allow"),
        Some("GET, HEAD")
    );
}

#[tokio::test]
async fn a_request_names_one_valid_host_before_its_path_is_looked_at() {
    let (store, _) = source();
    let request = |version, target: &str, hosts: &[&str]| {
        let request = Request::builder().version(version).uri(target).method("POST");
        let request = hosts.iter().fold(request, |request, host| request.header("host", *host));
        request.body(Body::empty()).unwrap()
    };
    let (http10, http11, http2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
    for (version, target, hosts, valid) in [
        (http11, "/other", &["x"][..], true),
        (http11, "/other", &["[::1]:8443"], true),
        (http11, "/other", &[], false),
        (http11, "/other", &[""], false),
        (http11, "/other", &["user@x"], false),
        (http11, "/other", &["x", "x"], false),
        (http10, "/other", &[], true),
        (http10, "/other", &["a b"], false),
        (http10, "/other", &["x", "x"], false),
        // An absolute target counts in the place of `Host`, which must be there and be a host.
        (http11, "https://x/other", &["y"], true),
        (http11, "https://x/other", &[], false),
        (http11, "https://x/other", &["y/"], false),
        (http11, "https://user@x/other", &["x"], false),
        (http2, "https://x/other", &[], true),
        (http2, "https://x/other", &["X:443"], true),
        (http2, "https://x:8443/other", &["x:8443"], true),
        (http2, "/other", &["x"], true),
        (http2, "https://x/other", &["y"], false),
        (http2, "https://x:8443/other", &["x"], false),
        (http2, "https://x/other", &["x", "x"], false),
        (http2, "https://x/other", &[""], false),
        (http2, "https://user@x/other", &[], false),
        (http2, "/other", &["x y"], false),
        (http2, "/other", &[], false),
    ] {
        let answer = ask(&store, request(version, target, hosts)).await;
        check_problem(&answer, 400, if valid { "unknown-path" } else { "malformed-host" });
        let admin = http::admin::router(Arc::default(), Arc::default());
        let answer = admin.oneshot(request(version, target, hosts)).await.unwrap();
        let answer = client::read(answer).await.unwrap();
        assert_eq!(answer.code(), if valid { "unknown-path" } else { "malformed-host" });
    }
    assert_eq!(store.reads(), 0);
}

#[tokio::test]
async fn nothing_on_the_admin_port_is_a_404_or_looks_like_a_secret() {
    let router = http::admin::router(Arc::default(), Arc::default());
    let ask = async |method: &str, target: &str| {
        let request = Request::builder().method(method).uri(target).header("host", "x");
        let request = request.body(Body::empty()).unwrap();
        client::read(router.clone().oneshot(request).await.unwrap()).await.unwrap()
    };
    for method in
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW"]
    {
        for target in [
            "/webhook?key=a",
            "/webhook",
            "/",
            "//",
            "/other",
            "/livez/",
            "/livez/etcd",
            "/LIVEZ",
            "/%6civez",
            "/livez%2f",
            "/./livez",
            "/metrics/x",
            "/healthz",
            "/{*path}",
            "/%ff%00",
            "*",
            "https://x/webhook",
            "https://x",
        ] {
            let answer = ask(method, target).await;
            assert_eq!(answer.status, 400, "{method} {target}");
            assert_eq!(answer.header("content-type"), Some("application/problem+json"));
            if method != "HEAD" {
                assert_eq!(answer.code(), "unknown-path", "{method} {target}");
                assert!(answer.text().contains("this is the admin port"));
            }
        }
        for (target, status) in [("/livez", 200), ("/readyz?verbose", 503), ("/metrics", 200)] {
            let answer = ask(method, target).await;
            match method {
                "GET" | "HEAD" => assert_eq!(answer.status, status, "{method} {target}"),
                _ => {
                    assert_eq!(
                        (answer.status, answer.code().as_str()),
                        (405, "method-not-allowed")
                    );
                    let allowed: Vec<_> = answer.headers.get_all("allow").iter().collect();
                    assert_eq!(allowed, ["GET, HEAD"], "{method} {target}");
                }
            }
        }
    }
}

#[tokio::test]
async fn after_a_rotation_the_next_request_is_judged_by_the_new_token() {
    let (store, old) = source();
    let new = token(r#"{"sub":"new"}"#);
    assert_eq!(get(&store, "/webhook?key=a", &old).await.status, 200);
    store.set(TOKEN, holds(secret(&[("token", new.as_bytes())])));
    check_problem(&get(&store, "/webhook?key=a", &old).await, 401, "token-mismatch");
    assert_eq!(get(&store, "/webhook?key=a", &new).await.status, 200);

    let mut overlap = secret(&[("token", new.as_bytes()), ("previous-token", old.as_bytes())]);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let annotation = "scout.vsecm.com/previous-token-until".to_owned();
    overlap.annotations.insert(annotation, until.to_string().into());
    store.set(TOKEN, holds(overlap));
    assert_eq!(get(&store, "/webhook?key=a", &old).await.status, 200);
    assert_eq!(get(&store, "/webhook?key=a", &new).await.status, 200);
}

#[tokio::test]
async fn a_value_is_read_beside_the_token_that_was_last_let_in() {
    let (store, token) = source();
    let other = support::token::token(r#"{"sub":"other"}"#);
    let router = router_over(store.clone());
    let ask = async |query: &str, token: &str| {
        let before = store.reads();
        let request = client::request(&format!("/webhook?{query}"), token).map(Body::new);
        let answer = client::read(router.clone().oneshot(request).await.unwrap()).await.unwrap();
        let code = if answer.status == 200 { "ok".to_owned() } else { answer.code() };
        (code, store.reads() - before)
    };
    let told = |code: &str, reads| (code.to_owned(), reads);
    store.set(TOKEN, Behaviour::Hangs);
    assert_eq!(ask("key=a", &token).await, told("deadline-exceeded", 1), "nobody was let in yet");
    store.set(TOKEN, holds(secret(&[("token", token.as_bytes())])));
    assert_eq!(ask("key=a", &token).await, told("ok", 2));

    store.set(TOKEN, Behaviour::Hangs);
    assert_eq!(
        ask("key=a", &token).await,
        told("deadline-exceeded", 2),
        "nothing without a verdict"
    );
    assert_eq!(ask("key=kube-system/a", &token).await, told("deadline-exceeded", 1));
    assert_eq!(ask("key=UPPER", &token).await, told("deadline-exceeded", 1));
    assert_eq!(ask("key=a", &other).await, told("deadline-exceeded", 1));

    // A rotation: the verdict does not wait for the value, and the old token is forgotten.
    store.set(TOKEN, holds(secret(&[("token", other.as_bytes())])));
    store.set("default/slow", Behaviour::Hangs);
    assert_eq!(ask("key=slow", &token).await, told("token-mismatch", 2));
    assert_eq!(ask("key=slow", &token).await, told("token-mismatch", 1));
    assert_eq!(ask("key=a", &other).await, told("ok", 2));
}
