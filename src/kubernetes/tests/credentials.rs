//! Credentials, CAs and configurations, and how they are read anew.

use super::faulty::{Act, Faulty, authority, kubeconfig, status};
use super::{DEADLINE, Fixture, good, name};
use crate::kubernetes::{Origin, REBUILD_INTERVAL, config};
use crate::secrets::{ReadError, SecretStore};

/// A server that accepts this token alone.
async fn accepting(token: &'static str) -> Faulty {
    Faulty::planned(move |_, seen| {
        let right = seen.authorization == format!("Bearer {token}");
        if right { good() } else { status("401 Unauthorized") }
    })
    .await
}

async fn with_token(server: &Faulty, token: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), token).unwrap();
    Fixture::at(folder, &format!("http://127.0.0.1:{}", server.port), DEADLINE).await
}

#[tokio::test]
async fn a_rotated_token_is_picked_up_within_the_read_that_met_the_401() {
    let server = accepting("new").await;
    let fixture = with_token(&server, "old").await;
    std::fs::write(fixture.folder.path().join("token"), "new").unwrap();
    assert!(fixture.read().await.is_ok());
    let tokens: Vec<_> = server.seen().into_iter().map(|seen| seen.authorization).collect();
    assert_eq!(tokens, ["Bearer old", "Bearer new"]);
    assert!(fixture.read().await.is_ok());
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn reads_that_meet_the_401_together_share_one_rebuilt_client() {
    let server = accepting("new").await;
    let fixture = with_token(&server, "old").await;
    std::fs::write(fixture.folder.path().join("token"), "new").unwrap();
    let name = name();
    let reads = (0..32).map(|_| fixture.store.read(&name));
    let reads = futures_util::future::join_all(reads).await;
    assert_eq!(reads.iter().filter(|read| read.is_ok()).count(), 32);
}

#[tokio::test]
async fn credentials_that_stay_refused_are_read_anew_once_a_second() {
    let server = accepting("new").await;
    let fixture = with_token(&server, "old").await;
    let reason = "the API server does not accept our credentials";
    let refused = ReadError::Unavailable { reason, retry_after: None };
    // The first read has rebuilt the client, so that the second may not.
    assert_eq!(fixture.read().await.err().as_ref(), Some(&refused));
    assert_eq!(server.seen().len(), 2);
    std::fs::write(fixture.folder.path().join("token"), "new").unwrap();
    assert_eq!(fixture.read().await.err().as_ref(), Some(&refused));
    assert_eq!(server.seen().len(), 3);
    fixture.recover().await;
}

#[tokio::test]
async fn a_read_rebuilds_the_client_once_however_slowly_it_is_refused() {
    let refused = status("401 Unauthorized");
    let slow = Act::Slow(REBUILD_INTERVAL * 11 / 10, Box::new(refused));
    let server = Faulty::new(vec![slow]).await;
    assert!(with_token(&server, "old").await.read().await.is_err());
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_again_leaves_the_client_as_it_is() {
    let server = Faulty::new(vec![status("401 Unauthorized"), good()]).await;
    let fixture = with_token(&server, "old").await;
    std::fs::remove_file(fixture.folder.path().join("kubeconfig")).unwrap();
    assert!(fixture.read().await.is_err());
    assert!(fixture.read().await.is_ok());
}

async fn trusting(server: &Faulty, ca: &str) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.crt"), ca).unwrap();
    Fixture::at(folder, &format!("https://127.0.0.1:{}", server.port), DEADLINE).await
}

const NOW: (i32, i32) = (2020, 4000);

#[tokio::test]
async fn a_certificate_is_always_verified() {
    for (why, host, valid, trusted) in [
        ("it is good", "127.0.0.1", NOW, true),
        ("it is from another CA", "127.0.0.1", NOW, false),
        ("it has expired", "127.0.0.1", (2020, 2021), true),
        ("it is not yet valid", "127.0.0.1", (3000, 4000), true),
        ("it is another host's", "localhost", NOW, true),
    ] {
        let (ca, tls) = authority(host, valid);
        let (other_ca, _) = authority(host, valid);
        let server = Faulty::tls(tls, vec![good()]).await;
        let fixture = trusting(&server, if trusted { &ca } else { &other_ca }).await;
        if why == "it is good" {
            assert!(fixture.read().await.is_ok());
            continue;
        }
        let error = ReadError::Unavailable { reason: "TLS with it failed", retry_after: None };
        assert_eq!(fixture.read().await.err(), Some(error), "{why}");
        assert!(server.seen().is_empty(), "a request was sent although {why}");
    }
}

#[tokio::test]
async fn a_replaced_ca_is_picked_up_by_itself() {
    let ((ca, tls), (old_ca, _)) = (authority("127.0.0.1", NOW), authority("127.0.0.1", NOW));
    let server = Faulty::tls(tls, vec![good()]).await;
    let fixture = trusting(&server, &old_ca).await;
    assert!(fixture.read().await.is_err());
    std::fs::write(fixture.folder.path().join("ca.crt"), ca).unwrap();
    fixture.recover().await;
}

#[tokio::test]
async fn a_kubeconfig_that_skips_verification_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = kubeconfig(folder.path(), "https://127.0.0.1:1");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("server:", "insecure-skip-tls-verify: true, server:"))
        .unwrap();
    let error = config::load(&Origin::Kubeconfig(Some(path))).await.err().unwrap();
    assert!(error.to_string().contains("insecure-skip-tls-verify"));
}

#[tokio::test]
async fn the_default_namespace_is_the_contexts() {
    let server = Faulty::new(vec![good()]).await;
    let fixture = Fixture::over(&server, DEADLINE).await;
    assert_eq!(fixture.store.default_namespace().as_str(), "ours");
}
