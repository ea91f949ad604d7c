//! What operators are told by the program, as a process: by its log, `/readyz?verbose`, the doctor
//! and the one sentence with which it refuses to start.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use support::client;
use support::folder::{HTTPS, Site, admin, block_on};
use support::process::{Running, output, vsecm_scout, wait_until};
use support::token::token;

const WELL: u8 = 0;
const DOWN: u8 = 1;
const TOKEN_FORBIDDEN: u8 = 2;

/// An API server that does what it is told to.
struct ApiServer {
    port: u16,
    mode: Arc<AtomicU8>,
}

impl ApiServer {
    fn start(token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(WELL));
        let (now, token) = (Arc::clone(&mode), token.to_owned());
        // It ends with the process of the test.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mode, token) = (now.load(Ordering::SeqCst), token.clone());
                thread::spawn(move || {
                    let _ = answer(stream, mode, &token);
                });
            }
        });
        Self { port, mode }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }
}

/// Answers one request and closes.
fn answer(stream: TcpStream, mode: u8, token: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = first.clone();
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let name = first.split(' ').nth(1).and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let (status, body) = match mode {
        DOWN => return Ok(()),
        TOKEN_FORBIDDEN if name == "jwt-token" => (
            "403 Forbidden",
            json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden",
            }),
        ),
        _ => {
            let encode = |text: &str| STANDARD.encode(text);
            let data = json!({"token": encode(token), "value": encode("hunter2")});
            let labels = json!({"scout.vsecm.com/serve": "true"});
            let metadata = json!({"name": name, "namespace": "ours", "labels": labels});
            (
                "200 OK",
                json!({"kind": "Secret", "apiVersion": "v1", "metadata": metadata, "data": data}),
            )
        }
    };
    let body = body.to_string();
    let length = body.len();
    write!(
        reader.into_inner(),
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// A kubeconfig whose cluster is this and whose user is that.
fn kubeconfig(folder: &Path, server: &str, user: &str) {
    let text = format!(
        "{{current-context: c, clusters: [{{name: c, cluster: {{server: '{server}'}}}}], \
         users: [{{name: u, user: {{{user}}}}}], \
         contexts: [{{name: c, context: {{cluster: c, user: u, namespace: ours}}}}]}}"
    );
    fs::write(folder.join("kubeconfig"), text).unwrap();
}

/// The program over that kubeconfig.
fn serve(site: &Site) -> Command {
    let mut command = vsecm_scout(site.folder.path());
    command.args(["serve", "--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
    command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.env("KUBECONFIG", "kubeconfig").env("VSECM_SCOUT_SHUTDOWN_DELAY", "0s");
    command
}

/// Asks 50 times, five at a time.
fn ask_often(site: &Site, running: &mut Running, status: u16) {
    let address = running.address(HTTPS);
    let asking = || {
        for _ in 0..10 {
            let roots = site.ca.roots();
            let answer = client::get(&roots, address, "/webhook?key=a", &site.token);
            assert_eq!(block_on(answer).unwrap().status, status);
        }
    };
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(asking);
        }
    });
}

/// The lines that are no audit lines and not before `from`, once there are `audited` audit lines.
fn beside_requests(running: &Running, from: usize, audited: usize) -> Vec<Value> {
    let is_audit = |line: &Value| line["target"] == "vsecm_scout::audit";
    let lines = || running.log().into_iter().skip(from);
    wait_until("every request has its line", || lines().filter(is_audit).count() >= audited);
    lines().filter(|line| !is_audit(line)).collect()
}

#[test]
fn fifty_requests_during_one_fault_leave_one_warning_and_one_line_that_it_is_over() {
    let site = Site::new();
    let server = ApiServer::start(&site.token);
    kubeconfig(site.folder.path(), &format!("http://127.0.0.1:{}", server.port), "");
    let mut running = Running::start(&mut serve(&site));
    wait_until("it is ready", || admin(&mut running, "/readyz").0 == 200);
    for (fault, status, over) in [
        (DOWN, 503, "the API server can be read from again"),
        (TOKEN_FORBIDDEN, 500, "the Secret can be read again"),
    ] {
        let from = running.log().len();
        server.set(fault);
        ask_often(&site, &mut running, status);
        let lines = beside_requests(&running, from, 50);
        let warnings: Vec<_> = lines.iter().filter(|line| line["level"] != "INFO").collect();
        assert_eq!(warnings.len(), 1, "{lines:?}");
        assert_eq!(warnings[0]["message"], "a Secret cannot be read");
        assert!(warnings[0]["help"].is_string(), "what to do: {}", warnings[0]);

        let from = running.log().len();
        server.set(WELL);
        ask_often(&site, &mut running, 200);
        let lines = beside_requests(&running, from, 50);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!((&lines[0]["message"], &lines[0]["level"]), (&json!(over), &json!("INFO")));
        assert!(lines[0]["times"].as_u64().unwrap() > 1, "{}", lines[0]);
    }
    let log = running.lines().join("\n");
    assert!(!log.contains("hunter2") && !log.contains(&site.token));
}

#[test]
fn a_wrong_claim_is_named_by_the_log_and_by_readyz_and_by_the_doctor() {
    let (bad, early, ok) = (
        "[-]token failed: stored-token-bad-claims: ",
        "[-]token failed: token-not-yet-valid: ",
        "[+]token ok: ",
    );
    for (claims, status, line, said) in [
        (r#"{"exp":1e400}"#, 500, bad, "its exp is out of range"),
        (r#"{"exp":9e9,"exp":9e9}"#, 500, bad, "its exp is there twice"),
        (r#"{"sub":"a","sub":"b"}"#, 500, bad, "its sub is there twice"),
        (r#"{"exp":"9e9"}"#, 500, bad, "its exp is not a number"),
        (r#"{"nbf":1767225600000}"#, 401, early, "its nbf is out of range; is it in milliseconds?"),
        (r#"{"exp":4102444800000}"#, 200, ok, "its exp is out of range; is it in milliseconds?"),
        (
            r#"{"exp":4102444800,"iat":1767225600000}"#,
            200,
            "[+]token ok: expires 2100-01-01T00:00:00Z; ",
            "its iat is out of range; is it in milliseconds?",
        ),
    ] {
        let site = Site::new();
        let token = token(claims);
        site.write_token(&token);
        let mut running = Running::start(&mut site.serve());
        wait_until(claims, || {
            admin(&mut running, "/readyz?verbose").1.contains(&format!("{line}{said}\n"))
        });
        assert_eq!(site.get(&mut running, "/webhook?key=a", &token).status, status, "{claims}");
        let valid = format!("vsecm_scout_token_valid {}", u8::from(status == 200));
        assert!(admin(&mut running, "/metrics").1.contains(&valid), "{claims}");
        let (field, level) = if status == 200 { ("reason", "WARN") } else { ("detail", "ERROR") };
        running.find(claims, |line| (line[field] == said && line["level"] == level).then_some(()));

        let mut doctor = vsecm_scout(site.folder.path());
        let doctor = output(doctor.args(["doctor", "--source", "manifests:secrets"]));
        let found = String::from_utf8(doctor.stdout).unwrap();
        assert!(found.contains(said), "{claims}: {found}");
        assert_eq!(doctor.status.code(), Some(1), "{claims}: {found}");
    }
}

#[test]
fn a_credential_plug_in_that_fails_is_named_and_its_output_is_shown_nowhere() {
    let site = Site::new();
    let canary = "canary-5f1c";
    let shell = |script: &str| {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, \
             args: [-c, 'echo {canary}; echo {canary} >&2; {script}']}}"
        )
    };
    let missing = "exec: {apiVersion: client.authentication.k8s.io/v1, command: /nonexistent}";
    let mut commands = [serve(&site), vsecm_scout(site.folder.path())];
    commands[1].arg("doctor").env("KUBECONFIG", "kubeconfig");
    for (user, says) in [
        (missing.to_owned(), "credential plug-in \"/nonexistent\" cannot be started (No such file"),
        (shell("exit 3"), "credential plug-in \"/bin/sh\" has failed (exit status: 3)"),
        (shell("kill -9 $$"), "credential plug-in \"/bin/sh\" has failed (signal: 9"),
    ] {
        kubeconfig(site.folder.path(), "https://127.0.0.1:1", &user);
        for command in &mut commands {
            let output = output(command);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(error.contains(says), "{error}");
            assert!(!error.contains(canary), "{error}");
            assert!(!String::from_utf8(output.stdout).unwrap().contains(canary));
        }
    }
}

#[test]
fn what_is_wrong_with_the_kubeconfig_is_said_by_serve_and_by_the_doctor() {
    let site = Site::new();
    let mut commands = [serve(&site), vsecm_scout(site.folder.path())];
    commands[1].arg("doctor").env("KUBECONFIG", "kubeconfig");
    let context = "current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}]";
    for (text, says) in [
        (None, "the kubeconfig kubeconfig cannot be used: No such file"),
        (Some("{users: [hunter2".to_owned()), "not a kubeconfig in YAML (line 1, column"),
        (Some("{current-context: d}".to_owned()), "no context \"d\""),
        (Some(format!("{{{context}}}")), "no cluster \"c\""),
        (
            Some(format!(
                "{{{context}, clusters: [{{name: c, cluster: {{server: 'http://x'}}}}]}}"
            )),
            "no user \"u\"",
        ),
    ] {
        let _ = fs::remove_file(site.path("kubeconfig"));
        if let Some(text) = &text {
            fs::write(site.path("kubeconfig"), text).unwrap();
        }
        for command in &mut commands {
            let output = output(command);
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), error.lines().count()), (Some(2), 1), "{error}");
            assert!(error.contains(says), "{text:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

#[test]
fn the_doctor_names_what_is_wrong_in_a_key() {
    let site = Site::new();
    for (key, named) in [
        ("key=a&propety=value", "400 unknown-parameter: "),
        ("key=a&propety=value", "(parameter \"propety\")"),
        ("key=a&key=a", "(parameter \"key\")"),
    ] {
        let mut doctor = vsecm_scout(site.folder.path());
        let output = output(doctor.args(["doctor", "--source", "manifests:secrets", key]));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(named), "{text}");
    }
}
