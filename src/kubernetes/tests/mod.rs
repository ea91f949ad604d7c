//! The source over an API server that misbehaves.

mod answers;
mod credentials;
mod faults;
mod faulty;
mod kubeconfigs;
mod log;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use self::faulty::{Act, Faulty, kubeconfig, ok};
use super::{Kubernetes, Origin, config};
use crate::secrets::{Read, ReadError, SecretName, SecretStore};

const DEADLINE: Duration = Duration::from_secs(5);
/// For the tests in which it passes.
const SHORT: Duration = Duration::from_secs(1);
/// A value that must show up nowhere.
const VALUE: &str = "hunter2-hunter2-hunter2";

fn name() -> SecretName {
    SecretName::new("ours".parse().unwrap(), "a").unwrap()
}

fn secret_with(data: serde_json::Value) -> String {
    json!({
        "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "data": data,
        "metadata": {"name": "a", "namespace": "ours", "labels": {"l": "1"}, "annotations": {"n": "2"}},
    })
    .to_string()
}

fn good() -> Act {
    ok(secret_with(json!({"k": STANDARD.encode(VALUE)})))
}

fn failure(reason: &str, kind: &str, name: &str) -> String {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": 404,
        "message": "words", "metadata": {}, "details": {"kind": kind, "name": name},
    })
    .to_string()
}

/// The source over a server, and the folder of its kubeconfig.
struct Fixture {
    folder: TempDir,
    store: Kubernetes,
}

impl Fixture {
    async fn over(server: &Faulty, deadline: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::at(folder, &format!("http://127.0.0.1:{}", server.port), deadline).await
    }

    async fn at(folder: TempDir, server: &str, deadline: Duration) -> Self {
        let origin = Origin::Kubeconfig(Some(kubeconfig(folder.path(), server)));
        let config = config::load(&origin).await.unwrap();
        let store = Kubernetes::new(origin, config, deadline).await.unwrap();
        Self { folder, store }
    }

    async fn read(&self) -> Read {
        self.store.read(&name()).await
    }

    /// Reads until it succeeds.
    async fn recover(&self) {
        let until = Instant::now() + DEADLINE;
        while let Err(error) = self.read().await {
            assert!(Instant::now() < until, "still {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The outcome of one read from a server that acts like this, and how many requests it took.
async fn outcome(acts: Vec<Act>) -> (Result<String, ReadError>, usize) {
    let server = Faulty::new(acts).await;
    let read = Fixture::over(&server, DEADLINE).await.read().await;
    let value = read.map(|secret| String::from_utf8(secret.entries["k"].to_vec()).unwrap());
    (value, server.seen().len())
}

fn unavailable(outcome: &Result<String, ReadError>) -> bool {
    matches!(outcome, Err(ReadError::Unavailable { .. }))
}

async fn until(condition: impl Fn() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < until, "this never came true");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
