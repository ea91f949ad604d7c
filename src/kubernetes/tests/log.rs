//! What the log says of reads that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::faulty::{Act, Faulty, ok};
use super::{DEADLINE, Fixture, VALUE, failure, good, name, outcome, secret_with};
use crate::secrets::{SecretName, SecretStore};
use crate::testing::Log;

#[tokio::test]
async fn a_failed_read_is_one_warning_that_quotes_no_answer() {
    let (log, _guard) = Log::start();
    let bad = secret_with(json!({"k": format!("{VALUE}!")}));
    let truncated = bad[..bad.len() - 1].to_owned();
    let wrong = Act::Answer("500 Internal Server Error", "", VALUE.into());
    let gone = Act::Answer("404 Not Found", "", failure("NotFound", "secrets", "a").into());
    for (act, warnings) in [(ok(bad), 1), (ok(truncated), 1), (wrong, 1), (good(), 0), (gone, 0)] {
        drop(outcome(vec![act]).await);
        let text = log.take();
        assert_eq!(text.matches("WARN").count(), warnings, "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(!text.contains(&STANDARD.encode(VALUE)), "{text}");
    }
}

#[tokio::test]
async fn a_fault_that_lasts_is_one_warning_and_its_end_is_one_line() {
    let (log, _guard) = Log::start();
    let forbidden = Act::Answer("403 Forbidden", "", failure("Forbidden", "", "").into());
    for (fault, end) in [
        (Act::Close, "the API server can be read from again"),
        (forbidden, "the Secret can be read again"),
    ] {
        let well = Arc::new(AtomicBool::new(false));
        let now = Arc::clone(&well);
        let server =
            Faulty::planned(
                move |_, _| {
                    if now.load(Ordering::SeqCst) { good() } else { fault.clone() }
                },
            )
            .await;
        let fixture = Fixture::over(&server, DEADLINE).await;
        for _ in 0..10 {
            assert!(fixture.read().await.is_err());
        }
        let text = log.take();
        assert_eq!(text.matches("WARN").count(), 1, "{text}");
        assert!(text.contains("a Secret cannot be read") && text.contains("help="), "{text}");
        well.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            assert!(fixture.read().await.is_ok());
        }
        let text = log.take();
        assert_eq!(text.matches(end).count(), 1, "{text}");
        assert_eq!((text.matches("WARN").count(), text.matches("INFO").count()), (0, 1), "{text}");
        assert!(text.contains("times=10"), "{text}");
    }
}

#[tokio::test]
async fn many_secrets_that_cannot_be_read_fill_no_log() {
    let (log, _guard) = Log::start();
    let forbidden = failure("Forbidden", "", "");
    let server = Faulty::new(vec![Act::Answer("403 Forbidden", "", forbidden.into())]).await;
    let fixture = Fixture::over(&server, DEADLINE).await;
    for number in 0..200 {
        let name = SecretName::new(name().namespace, &format!("s{number}")).unwrap();
        assert!(fixture.store.read(&name).await.is_err());
    }
    let warnings = log.take().matches("WARN").count();
    assert!((2..100).contains(&warnings), "{warnings} warnings");
}
