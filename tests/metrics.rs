//! What the endpoint counts, and the admin port shows.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use futures_util::FutureExt;
use hyper::Request;
use prometheus_client::registry::Registry;
use support::client::{self, Answer};
use support::metrics::{series, text, value};
use support::service::router_for;
use support::store::{Behaviour, Scripted, secret, served};
use support::token::token;
use tower::ServiceExt;
use vsecm_scout::http;
use vsecm_scout::problem::Code;
use vsecm_scout::secrets::ReadError;

const TOKEN: &str = "default/jwt-token";

/// An endpoint with a valid token and one Secret.
struct Site {
    store: Arc<Scripted>,
    token: String,
    router: Router,
    registry: Arc<Registry>,
}

impl Site {
    fn new() -> Self {
        let store = Arc::new(Scripted::default());
        let token = token(r#"{"sub":"tests"}"#);
        store.set(TOKEN, holds(&[("token", token.as_bytes())]));
        store.set("default/a", Behaviour::Holds(Arc::new(served(&[("v", b"hunter2")]))));
        let (router, registry) = router_for(store.clone(), 512);
        Self { store, token, router, registry }
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        client::read(self.router.clone().oneshot(request).await.unwrap()).await.unwrap()
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(client::request(path, token).map(Body::new)).await
    }

    fn value(&self, series: &str) -> f64 {
        value(&text(&self.registry), &format!("vsecm_scout_{series}"))
    }

    fn requests(&self, status: u16, reason: &str) -> f64 {
        self.value(&format!(r#"requests_total{{code="{status}",reason="{reason}"}}"#))
    }

    /// All requests of all series, and all that the histogram has seen.
    fn all_requests(&self) -> (f64, f64) {
        let text = text(&self.registry);
        let requests = series(&text).into_iter().filter(|series| series.contains("requests_total"));
        let sum = requests.map(|series| value(&text, &series)).sum();
        (sum, self.value("request_duration_seconds_count"))
    }
}

fn holds(entries: &[(&str, &[u8])]) -> Behaviour {
    Behaviour::Holds(Arc::new(secret(entries)))
}

#[tokio::test]
async fn every_code_and_status_exists_at_zero_from_the_start() {
    let site = Site::new();
    for code in Code::ALL {
        assert_eq!(site.requests(code.status(), code.as_str()), 0.0);
    }
    assert_eq!(site.requests(200, "ok") + site.requests(499, "caller-gone"), 0.0);
    let all = series(&text(&site.registry));
    let requests = all.iter().filter(|series| series.contains("requests_total")).count();
    assert_eq!(requests, Code::ALL.len() + 2);
}

#[tokio::test]
async fn each_request_is_counted_once_by_its_status_and_reason() {
    let site = Site::new();
    site.store.set("default/gone", Behaviour::Fails(ReadError::NotFound));
    let mut bad = client::request("/webhook?key=a", &site.token).map(Body::new);
    bad.headers_mut().insert("host", "a b".parse().unwrap());
    assert_eq!(site.ask(bad).await.status, 400);
    assert_eq!(site.requests(400, "malformed-host"), 1.0);
    assert_eq!(site.all_requests(), (1.0, 1.0));
    for (path, status, reason) in [
        ("/webhook?key=a", 200, "ok"),
        ("/webhook?key=gone", 404, "no-such-secret"),
        ("/webhook?key=UPPER", 400, "invalid-key"),
        ("/other", 400, "unknown-path"),
        ("/webhook?key=jwt-token", 403, "never-served"),
    ] {
        let before = site.all_requests().0;
        assert_eq!(site.get(path, &site.token).await.status, status);
        assert_eq!(site.requests(status, reason), 1.0, "{path}");
        assert_eq!(site.all_requests(), (before + 1.0, before + 1.0), "{path}");
    }
    assert_eq!(site.value("requests_in_flight"), 0.0);
}

#[tokio::test]
async fn authentication_failures_are_counted_by_reason() {
    let site = Site::new();
    let failures =
        |reason| site.value(&format!(r#"authentication_failures_total{{reason="{reason}"}}"#));
    site.get("/webhook?key=a", &token("{}")).await;
    let mut bare = client::request("/webhook?key=a", "").map(Body::new);
    bare.headers_mut().remove("authorization");
    site.ask(bare).await;
    let mut twice = client::request("/webhook?key=a", &site.token).map(Body::new);
    twice.headers_mut().append("authorization", "Bearer a.b.c".parse().unwrap());
    site.ask(twice).await;
    site.get("/webhook?key=a", "a, b").await;
    site.get("/webhook?key=a", &site.token).await;
    let reasons =
        ["token-mismatch", "no-token", "repeated-authorization", "malformed-authorization"];
    assert_eq!(reasons.map(failures), [1.0; 4]);
    assert_eq!(failures("token-expired"), 0.0);
}

#[tokio::test]
async fn a_caller_who_leaves_is_counted() {
    let site = Site::new();
    site.store.set(TOKEN, Behaviour::Hangs);
    let request = client::request("/webhook?key=a", &site.token).map(Body::new);
    let mut asked = site.router.clone().oneshot(request).boxed();
    assert!((&mut asked).now_or_never().is_none());
    assert_eq!(site.value("requests_in_flight"), 1.0);
    drop(asked);
    assert_eq!(site.value("requests_in_flight"), 0.0);
    assert_eq!(site.requests(499, "caller-gone"), 1.0);
    assert_eq!(site.all_requests(), (1.0, 1.0));
}

#[tokio::test]
async fn a_panic_is_counted_and_answered() {
    let site = Site::new();
    site.store.set("default/a", Behaviour::Panics);
    assert_eq!(site.get("/webhook?key=a", &site.token).await.status, 500);
    assert_eq!((site.value("panics_total"), site.requests(500, "internal-error")), (1.0, 1.0));
    assert_eq!(site.value("requests_in_flight"), 0.0);
}

#[tokio::test]
async fn requests_let_in_by_the_previous_token_are_counted() {
    let site = Site::new();
    let new = token(r#"{"sub":"new"}"#);
    let mut overlap =
        secret(&[("token", new.as_bytes()), ("previous-token", site.token.as_bytes())]);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
    let annotation = "scout.vsecm.com/previous-token-until".to_owned();
    overlap.annotations.insert(annotation, until.to_string().into());
    site.store.set(TOKEN, Behaviour::Holds(Arc::new(overlap)));
    assert_eq!(site.get("/webhook?key=a", &new).await.status, 200);
    assert_eq!(site.value("previous_token_uses_total"), 0.0);
    assert_eq!(site.get("/webhook?key=a", &site.token).await.status, 200);
    assert_eq!(site.value("previous_token_uses_total"), 1.0);
}

#[tokio::test]
async fn whatever_is_asked_the_series_stay_the_same_and_tell_no_secret() {
    let site = Site::new();
    let before = series(&text(&site.registry));
    let hostile =
        ["../../etc", "%00", "%ff", "x\"y", "x{y=\"z\"}", "%F0%9F%94%91", "a%0Ab", "__name__"];
    let long = "k".repeat(5000);
    for text in hostile.into_iter().chain([long.as_str()]) {
        let text: String = text.chars().filter(|c| !"\"{}".contains(*c)).collect();
        for path in [
            format!("/webhook?key={text}"),
            format!("/webhook?{text}=a"),
            format!("/webhook?key=a&property={text}"),
            format!("/{text}"),
        ] {
            site.get(&path, &site.token).await;
            site.get(&path, "hunter3").await;
        }
    }
    for method in ["BREW", "X-KEY-HUNTER4", "POST", "HEAD", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/webhook?key=a").header("host", "x");
        site.ask(request.body(Body::empty()).unwrap()).await;
    }
    for header in ["x-request-id", "accept", "user-agent", "x-hunter5"] {
        let mut request = client::request("/webhook?key=a", &site.token).map(Body::new);
        request.headers_mut().insert(header, "__hunter6\"}".parse().unwrap());
        site.ask(request).await;
    }
    let after = text(&site.registry);
    assert_eq!(series(&after), before);
    for secret in ["hunter", "HUNTER", &site.token, "eyJ", "tests"] {
        assert!(!after.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn metrics_come_in_the_format_that_a_scraper_prefers() {
    let registry = router_for(Arc::new(Scripted::default()), 512).1;
    let router = http::admin::router(Arc::default(), registry);
    let scrape = async |accept: &[&str]| {
        let mut request = Request::get("/metrics").header("host", "x");
        for line in accept {
            request = request.header("accept", *line);
        }
        let request = request.body(Body::empty()).unwrap();
        client::read(router.clone().oneshot(request).await.unwrap()).await.unwrap()
    };
    for accept in [
        // What Prometheus sends: 2.42, and 3.
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
         version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
         application/openmetrics-text;version=0.0.1;q=0.5,\
         text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
         */*;q=0.2",
        "application/openmetrics-text",
    ] {
        let answer = scrape(&[accept]).await;
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(openmetrics)));
        assert!(answer.text().contains("# TYPE vsecm_scout_requests counter\n"));
        assert!(answer.text().ends_with("# EOF\n"));
    }
    let samples = series(scrape(&["application/openmetrics-text"]).await.text());
    for accept in [
        &[][..],
        &["*/*"],
        &["text/plain"],
        &["application/openmetrics-text;q=0", "*/*"],
        &["application/openmetrics-text;q=0.2", "text/plain;version=0.0.4;q=0.3"],
        &["application/openmetrics-text;version=0.0.1", "text/plain;q=0.1"],
    ] {
        let answer = scrape(accept).await;
        let plain = "text/plain; version=0.0.4; charset=utf-8";
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(plain)));
        assert!(answer.text().contains("# TYPE vsecm_scout_requests_total counter\n"));
        assert!(!answer.text().contains("EOF"));
        assert_eq!(series(answer.text()), samples);
    }
}
