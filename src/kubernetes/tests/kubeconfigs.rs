//! Kubeconfigs that cannot be used, and credential plug-ins: what is wrong is named, and nothing
//! that may be a credential.

use std::path::Path;

use super::faulty::{Faulty, kubeconfig, status};
use super::{DEADLINE, Fixture, VALUE, good};
use crate::kubernetes::{Kubernetes, Origin, config};
use crate::secrets::ReadError;
use crate::testing::Log;

/// Why the kubeconfig of this text makes no source: one line, with the file's name and no value.
async fn refusal(folder: &Path, text: &str) -> String {
    let path = folder.join("kubeconfig");
    std::fs::write(&path, text).unwrap();
    let origin = Origin::Kubeconfig(Some(path));
    let error = match config::load(&origin).await {
        Ok(config) => Kubernetes::new(origin, config, DEADLINE).await.err(),
        Err(error) => Some(error),
    };
    let error = error.unwrap_or_else(|| panic!("{text} was accepted"));
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

/// A kubeconfig whose user is this.
fn with_user(folder: &Path, user: &str) -> String {
    let whole = std::fs::read_to_string(kubeconfig(folder, "https://127.0.0.1:1")).unwrap();
    whole.replace("user: {}", &format!("user: {{{user}}}"))
}

/// A user whose plug-in is a shell that does this.
fn shell(script: &str) -> String {
    format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: IfAvailable, \
         command: /bin/sh, args: [-c, '{script}', {VALUE}]}}"
    )
}

#[tokio::test]
async fn a_credential_plug_in_that_is_missing_or_fails_is_named_without_its_output() {
    let folder = tempfile::tempdir().unwrap();
    let version = "apiVersion: client.authentication.k8s.io/v1";
    let noise = format!("echo {VALUE}; echo {VALUE} >&2; ");
    for (user, plugin, says) in [
        (format!("exec: {{{version}, command: /nonexistent}}"), "\"/nonexistent\"", "install it"),
        (format!("exec: {{{version}, command: no-such-plugin}}"), "\"no-such-plugin\"", "PATH"),
        (format!("exec: {{{version}, command: /etc/passwd}}"), "/etc/passwd", "executable"),
        (format!("exec: {{{version}}}"), "exec without a command", "name the"),
        (shell(&format!("{noise} exit 3")), "\"/bin/sh\"", "exit status: 3"),
        (shell(&format!("{noise} kill -9 $$")), "\"/bin/sh\"", "signal: 9"),
        (shell(&noise), "\"/bin/sh\"", "printed no ExecCredential"),
        (shell("echo {}"), "\"/bin/sh\"", "printed no ExecCredential"),
        (
            shell("echo {status: {token: hunter2, expirationTimestamp: hunter2}}"),
            "\"/bin/sh\"",
            "not in RFC 3339",
        ),
    ] {
        let error = refusal(folder.path(), &with_user(folder.path(), &user)).await;
        assert!(error.contains(plugin) && error.contains(says), "{user}: {error}");
    }
}

#[tokio::test]
async fn a_plug_in_that_fails_later_is_named_by_the_log() {
    let server = Faulty::new(vec![good(), status("401 Unauthorized")]).await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("plugin");
    std::fs::write(&plugin, "echo '{\"status\": {\"token\": \"t\"}}'").unwrap();
    let address = format!("http://127.0.0.1:{}", server.port);
    let path = kubeconfig(folder.path(), &address);
    let user = shell(&format!(". {}", plugin.display()));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("user: {}", &format!("user: {{{user}}}"))).unwrap();
    let origin = Origin::Kubeconfig(Some(path));
    let config = config::load(&origin).await.unwrap();
    let store = Kubernetes::new(origin, config, DEADLINE).await.unwrap();
    let fixture = Fixture { folder, store };
    assert!(fixture.read().await.is_ok());

    std::fs::write(&plugin, format!("echo {VALUE}; echo {VALUE} >&2; exit 3")).unwrap();
    let (log, _guard) = Log::start();
    assert!(matches!(fixture.read().await, Err(ReadError::Unavailable { .. })));
    let text = log.take();
    assert!(text.contains("\"/bin/sh\" has failed (exit status: 3)"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn what_is_wrong_with_a_kubeconfig_is_said_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let whole = with_user(folder.path(), "");
    let cluster = "server: 'https://127.0.0.1:1'";
    for (text, says) in [
        (format!("{whole}\nusers: [{{name: u, user: {{token: {VALUE}}}"), "YAML (line 8, column "),
        (VALUE.to_owned(), "not a kubeconfig in YAML"),
        (String::new(), "current-context"),
        (whole.replace("current-context: c", "a: b"), "kubectl config use-context"),
        (whole.replace("current-context: c", "current-context: d"), "no context \"d\""),
        (whole.replace("cluster: c,", "cluster: d,"), "no cluster \"d\""),
        (whole.replace("user: u,", "user: d,"), "no user \"d\""),
        (whole.replace("ours", "not_a_namespace"), "namespace of the kubeconfig's context"),
        (whole.replace(cluster, "a: b"), "has no server"),
        (whole.replace(cluster, "server: '::'"), "not a URL"),
        (
            whole.replace(cluster, &format!("{cluster}, certificate-authority-data: '{VALUE}!'")),
            "certificate-authority-data is not base64",
        ),
        (
            whole.replace(cluster, &format!("{cluster}, certificate-authority: /nowhere/ca.crt")),
            "certificate-authority /nowhere/ca.crt cannot be read (No such file",
        ),
        (with_user(folder.path(), "tokenFile: /nowhere/token"), "the token in /nowhere/token"),
        (
            with_user(folder.path(), "client-certificate: /nowhere/c, client-key: /nowhere/k"),
            "client-certificate /nowhere/c cannot be read",
        ),
        (
            with_user(
                folder.path(),
                &format!("auth-provider: {{name: gcp, config: {{id-token: {VALUE}}}}}"),
            ),
            "auth-provider \"gcp\", which is not supported",
        ),
        (with_user(folder.path(), "auth-provider: {name: oidc}"), "oidc has no id-token"),
        (with_user(folder.path(), &format!("token: \"{VALUE}\\n\"")), "line break"),
    ] {
        assert!(text != whole, "{says}");
        let error = refusal(folder.path(), &text).await;
        assert!(error.contains(says), "{text}: {error}");
    }
    let missing = folder.path().join("missing");
    let error = config::load(&Origin::Kubeconfig(Some(missing.clone()))).await.err().unwrap();
    let error = error.to_string();
    assert!(error.contains(&missing.display().to_string()) && error.contains("Set KUBECONFIG"));
}
