//! The program as its users run it: a process.
//!
//! What needs another program is listed as ignored where that is missing.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "process/refusals.rs"]
mod refusals;
mod support;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use libtest_mimic::{Arguments, Trial};
use serde_json::Value;
use support::certs::{Ca, files};
use support::client;
use support::folder::{HTTPS, Site, admin, block_on};
use support::frames::{HEADERS, RST_STREAM, SETTINGS, frame};
use support::process::{Running, output, trial, vsecm_scout, wait_until};
use support::token::token;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        trial("dev_makes_everything_and_its_commands_work", &["sh", "sed", "curl"], dev_tour),
        trial("dev_keeps_its_token_and_its_certificate", &[], dev_restart),
        trial("two_of_dev_run_side_by_side", &[], dev_twice),
        trial("serve_answers_live_from_a_folder", &[], serve_live),
        trial("serve_takes_its_flags_from_the_environment", &[], serve_environment),
        trial("bad_configuration_is_one_sentence_and_status_2", &[], bad_configuration),
        trial("help_names_every_flag_and_its_variable", &[], help),
        trial("readiness_waits_for_a_valid_token_and_stays", &[], readiness),
        trial("the_certificate_is_reloaded_after_a_swap_of_links", &[], certificate_swap),
        trial("each_request_leaves_one_line_and_no_secret", &[], audit_lines),
        trial("the_text_form_has_the_same_fields", &[], audit_text),
        trial("a_level_for_one_target_leaves_the_others", &[], levels),
        trial("a_refusal_over_http1_reaches_who_is_still_sending", &["curl"], refusals::over_http1),
        trial("a_refusal_over_http2_reaches_who_is_still_sending", &["curl"], refusals::over_http2),
        trial("who_does_not_speak_tls_is_no_warning", &[], no_tls),
        trial("an_expired_certificate_is_told_loudly", &[], expired_certificate),
        trial("requests_that_a_grace_or_a_second_signal_cuts_off_leave_lines", &["kill"], cut_off),
        trial("a_clock_that_jumps_by_an_hour_is_followed", &["faketime"], clock_jumps),
        trial("the_doctor_looks_at_a_folder_and_shows_no_value", &[], doctor),
        trial("the_doctor_names_a_torn_manifest_and_needs_no_reader", &[], doctor_unread),
        trial("a_manifest_that_stays_bad_is_one_warning", &[], bad_token_manifest),
        on_fuse("a_file_system_that_hangs_holds_up_reads_alone", hanging_file_system),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn bad_token_manifest() {
    let site = Site::new();
    let good = fs::read_to_string(site.path("secrets/jwt-token.yaml")).unwrap();
    let entry = good.lines().last().unwrap();
    let bad = good.replace("stringData", "data").replace(entry, "  token: 'hunter2***'");
    fs::write(site.path("secrets/jwt-token.yaml"), bad).unwrap();
    let mut running = Running::start(&mut site.serve());
    for _ in 0..20 {
        let answer = site.get(&mut running, "/webhook?key=a", &site.token);
        assert_eq!((answer.status, answer.reason.as_deref()), (500, Some("invalid-data")));
    }
    let message = "an entry of a Secret is not base64";
    let lines = running.log().into_iter().filter(|line| line["message"] == message);
    let lines: Vec<_> = lines.map(|line| line.to_string()).collect();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in ["secrets/jwt-token.yaml", "default/jwt-token", "data.token", "line 7"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(!running.lines().join("\n").contains("hunter2"));
}

/// Gives the program that follows a file system at `hang` that never answers: nobody serves it.
const HANG: &str = "exec 9<>/dev/fuse && mount -i -t fuse \
                    -o fd=9,rootmode=40000,user_id=0,group_id=0 hang hang && exec \"$0\" \"$@\"";

/// A test that needs such a file system.
fn on_fuse(name: &'static str, test: fn()) -> Trial {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("hang")).unwrap();
    let mut probe = hung(folder.path());
    let works = probe.arg("true").output().is_ok_and(|output| output.status.success());
    if works {
        return trial(name, &[], test);
    }
    trial(name, &[], test).with_ignored_flag(true)
}

fn hung(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", HANG]).current_dir(folder);
    command
}

fn hanging_file_system() {
    let site = Site::new();
    fs::create_dir(site.path("hang")).unwrap();
    let serve = site.serve();
    let mut command = hung(site.folder.path());
    command.arg(serve.get_program()).args(serve.get_args()).args(["--deadline", "1s"]);
    command.env("VSECM_SCOUT_SHUTDOWN_DELAY", "0s");
    let mut running = Running::start(&mut command);
    let path = "/webhook?key=a&property=value";
    fs::create_dir(site.path("well")).unwrap();
    symlink("well", site.path("via")).unwrap();
    site.write("b", "", "k: v");
    fs::rename(site.path("secrets/b.yaml"), site.path("well/b.yaml")).unwrap();
    symlink("../via/b.yaml", site.path("secrets/b.yaml")).unwrap();
    // Until the times of all files are old enough to be believed.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        assert_eq!(site.get(&mut running, path, &site.token).status, 200);
    }

    symlink("hang", site.path("via.new")).unwrap();
    fs::rename(site.path("via.new"), site.path("via")).unwrap();
    let address = running.address(HTTPS);
    let asked: Vec<_> = std::thread::scope(|scope| {
        // More than threads that serve.
        let ask = || block_on(client::get(&site.ca.roots(), address, path, &site.token)).unwrap();
        let asking: Vec<_> = (0..32).map(|_| scope.spawn(ask)).collect();
        assert_eq!(admin(&mut running, "/livez").0, 200);
        assert_eq!(site.get(&mut running, path, "malformed").status, 401);
        asking.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    for answer in asked {
        assert_eq!(answer.status, 503, "{:?}", answer.reason);
    }
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
}

fn dev(folder: &Path) -> Running {
    let mut command = vsecm_scout(folder);
    command.args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    // What is meant for `serve` does not reach `dev`.
    command.env("VSECM_SCOUT_TOKEN_SECRET", "other");
    Running::start(&mut command)
}

fn dev_tour() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = dev(folder.path());
    running.address(HTTPS);
    let printed = running.lines().join("\n");
    let commands = printed.split("Ctrl-C").next().unwrap();
    let commands = &commands[commands.find("# the token").unwrap()..];
    assert!(!printed.contains("eyJhbGciOiJIUzI1NiJ9.eyJ"), "the token is not printed");

    let mut shell = Command::new("sh");
    shell.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut shell = shell.stderr(Stdio::inherit()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let whole = r#"{"password":"correct horse \"battery\" staple","username":"scout"}"#;
    let answers: Vec<&str> = output.lines().collect();
    assert_eq!(answers[0], whole);
    assert_eq!(answers[1], r#""correct horse \"battery\" staple""#);
    assert_eq!(answers[2], r#""super-secret-value""#);
    assert_eq!(answers[3], "HTTP/1.1 401 token-mismatch");
    let rotated: Vec<&&str> = answers.iter().rev().take(2).collect();
    assert!(rotated[1].contains(r#""code":"token-mismatch""#), "the old token is refused");
    assert_eq!(*rotated[0], whole, "the new one is accepted");

    running.signal("INT");
    assert_eq!(running.wait().code(), Some(0));
}

fn dev_restart() {
    let folder = tempfile::tempdir().unwrap();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut running = dev(folder.path());
        running.address(HTTPS);
        seen.push((read("dev-secrets/jwt-token.yaml"), read("certs/tls.crt")));
    }
    assert!(seen[0] == seen[1]);
}

fn dev_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = dev(folder.path());
    let first_address = first.address(HTTPS);
    let mut command = vsecm_scout(folder.path());
    command.args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--dir", "other secrets", "--certs", "other certs"]);
    let mut second = Running::start(&mut command);
    assert_ne!(second.address(HTTPS), first_address);
    assert!(second.lines().join("\n").contains("'other certs/ca.crt'"));
    assert!(folder.path().join("other secrets/jwt-token.yaml").exists());
    wait_until("both are ready", || {
        admin(&mut first, "/readyz").0 == 200 && admin(&mut second, "/readyz").0 == 200
    });
}

fn serve_live() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let path = "/webhook?key=a&property=value";
    let answer = site.get(&mut running, path, &site.token);
    assert_eq!((answer.status, answer.text()), (200, "\"hunter2\""));
    site.write("a", "scout.vsecm.com/serve: 'true'", "value: changed");
    assert_eq!(site.get(&mut running, path, &site.token).text(), "\"changed\"");
    site.write("a", "", "value: changed");
    assert_eq!(site.get(&mut running, path, &site.token).reason.as_deref(), Some("not-labelled"));

    let new = token(r#"{"sub":"new"}"#);
    site.write_token(&new);
    assert_eq!(site.get(&mut running, path, &site.token).reason.as_deref(), Some("token-mismatch"));
    assert_eq!(site.get(&mut running, path, &new).reason.as_deref(), Some("not-labelled"));
    site.write("b", "", "k: [not, a, string]");
    let answer = site.get(&mut running, "/webhook?key=missing", &new);
    assert_eq!(answer.reason.as_deref(), Some("unreadable-manifest"));
    fs::remove_file(site.path("secrets/b.yaml")).unwrap();
    let answer = site.get(&mut running, "/webhook?key=missing", &new);
    assert_eq!((answer.status, answer.reason.as_deref()), (404, Some("no-such-secret")));
    fs::remove_file(site.path("secrets/jwt-token.yaml")).unwrap();
    let answer = site.get(&mut running, path, &new);
    assert_eq!((answer.status, answer.reason.as_deref()), (500, Some("token-secret-missing")));

    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
    let log = serde_json::to_string(&running.log()).unwrap();
    assert!(!log.contains("not, a, string"), "a manifest is not quoted");
}

fn serve_environment() {
    let site = Site::new();
    let mut command = vsecm_scout(site.folder.path());
    command.arg("serve");
    for (name, value) in [
        ("LISTEN", "127.0.0.1:0"),
        ("ADMIN_LISTEN", "[::]:0"),
        ("TLS_CERT", "tls.crt"),
        ("TLS_KEY", "tls.key"),
        ("SOURCE", "manifests:secrets"),
        ("TOKEN_SECRET", "default/jwt-token"),
        ("TOKEN_ENTRY", "token"),
        ("NAMESPACE", "apps,default"),
        ("SERVE_LABEL", ""),
        ("LOG_FORMAT", "json"),
    ] {
        command.env(format!("VSECM_SCOUT_{name}"), value);
    }
    let mut running = Running::start(&mut command);
    let answer = site.get(&mut running, "/webhook?key=default/a", &site.token);
    assert_eq!(answer.status, 200);
    assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 404);
    running.find("warning about the label", |line| {
        line["message"].as_str()?.contains("--serve-label is empty").then_some(())
    });
}

fn bad_configuration() {
    let site = Site::new();
    site.ca.issue().write(&{
        let other = site.path("other");
        fs::create_dir(&other).unwrap();
        other
    });
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    // The flag, and what to do.
    let cases: &[(&[&str], &str, &str)] = &[
        (&["--leeway", "61s"], "--leeway", "write at most 60s"),
        (&["--deadline", "0s"], "--deadline", "write a duration above 0"),
        (&["--deadline", "soon"], "--deadline", "such as 5s, 1m30s or 24h"),
        (&["--max-overlap=-1h"], "--max-overlap", "not negative"),
        (&["--shutdown-grace", "-1s"], "--shutdown-grace", "not negative"),
        (&["--namespace", "Default"], "--namespace", "lower-case letters"),
        (&["--token-secret", "a/b/c"], "--token-secret", "[NAMESPACE/]NAME"),
        (&["--token-entry", "a/b"], "--token-entry", "write the name of a Secret's entry"),
        (&["--max-api-reads", "0"], "--max-api-reads", "write a whole number above 0"),
        (&["--max-connections", "many"], "--max-connections", "write a whole number above 0"),
        (&["--serve-label", "novalue"], "--serve-label", "KEY=VALUE"),
        (&["--source", "vault"], "--source", "'kubernetes', or 'manifests:' and a folder"),
        (&["--source", "manifests:missing"], "--source", "must be a folder"),
        (&["--source", "manifests:tls.crt"], "--source", "must be a folder"),
        (&["--listen", "8443"], "--listen", "[::]:8443"),
        (&["--listen", ":8443"], "--listen", "0.0.0.0:8443"),
        (&["--listen", "localhost:8443"], "--listen", "127.0.0.1:8443"),
        (&["--admin-listen", ":9090"], "--admin-listen", "[::]:8443"),
        (&["--listen", &taken], "--listen", "choose another port"),
        (&["--admin-listen", &taken], "--admin-listen", "choose another port"),
        (&["--listen", "192.0.2.1:0"], "--listen", "an address of this machine"),
        (&["--tls-cert", "missing.crt"], "--tls-cert", ""),
        (&["--tls-key", "tls.crt"], "--tls-key", ""),
        (&["--tls-key", "other/tls.key"], "--tls-key", ""),
        (&["--log-format", "xml"], "--log-format", "possible values: text, json"),
        (&["--frobnicate"], "--frobnicate", "--help"),
    ];
    for (arguments, flag, says) in cases {
        let mut command = vsecm_scout(site.folder.path());
        command.arg("serve").args(*arguments);
        for (name, value) in [
            ("LISTEN", "127.0.0.1:0"),
            ("ADMIN_LISTEN", "127.0.0.1:0"),
            ("TLS_CERT", "tls.crt"),
            ("TLS_KEY", "tls.key"),
            ("SOURCE", "manifests:secrets"),
        ] {
            command.env(format!("VSECM_SCOUT_{name}"), value);
        }
        let output = output(&mut command);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.starts_with("error: ") && error.contains(flag), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
        assert!(!String::from_utf8(output.stdout).unwrap().contains("listening"));
    }
    let missing = output(vsecm_scout(site.folder.path()).arg("serve"));
    let error = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(error.contains("--tls-cert") && error.lines().count() == 1, "{error}");
    assert!(error.contains("--help"), "{error}");
}

fn help() {
    let folder = tempfile::tempdir().unwrap();
    let output = output(vsecm_scout(folder.path()).args(["serve", "--help"]));
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in [
        "listen",
        "admin-listen",
        "tls-cert",
        "tls-key",
        "source",
        "token-secret",
        "token-entry",
        "max-overlap",
        "namespace",
        "serve-label",
        "deadline",
        "max-api-reads",
        "leeway",
        "shutdown-grace",
        "log-format",
    ] {
        let variable = flag.to_uppercase().replace('-', "_");
        assert!(help.contains(&format!("--{flag} <")), "--{flag}");
        assert!(help.contains(&format!("VSECM_SCOUT_{variable}")), "{variable}");
    }
}

fn readiness() {
    let site = Site::new();
    site.write_token("not a token");
    let mut running = Running::start(&mut site.serve());
    assert_eq!(admin(&mut running, "/livez").0, 200);
    wait_until("the reason is told", || {
        let (status, text) = admin(&mut running, "/readyz?verbose");
        assert_eq!(status, 503);
        text.contains("[+]certificate ok\n[-]token failed: stored-token-not-jwt\n")
    });
    site.write_token(&token("{}"));
    wait_until("it is ready", || admin(&mut running, "/readyz") == (200, "ok\n".to_owned()));
    let (_, lines) = admin(&mut running, "/readyz?verbose");
    assert!(lines.contains("[+]token ok: never expires\n"), "{lines}");
    site.write_token("not a token");
    assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 500);
    assert_eq!(admin(&mut running, "/readyz").0, 200, "later trouble does not withdraw it");
    running.find("warning that the token never expires", |line| {
        line["message"].as_str()?.contains("no exp").then_some(())
    });
    assert_eq!(admin(&mut running, "/other").0, 400);
}

fn certificate_swap() {
    let site = Site::new();
    let data = |version: &str| {
        let folder = site.path(version);
        fs::create_dir(&folder).unwrap();
        let pair = site.ca.issue();
        pair.write(&folder);
        pair
    };
    data("..v1");
    let second = data("..v2");
    symlink("..v1", site.path("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        fs::remove_file(site.path(file)).unwrap();
        symlink(format!("..data/{file}"), site.path(file)).unwrap();
    }
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    symlink("..v2", site.path("..new")).unwrap();
    fs::rename(site.path("..new"), site.path("..data")).unwrap();
    let mut requests = 0;
    wait_until("the new certificate is served", || {
        assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 200);
        requests += 1;
        block_on(async {
            let offer = client::Offer::new(site.ca.roots(), &[]);
            let stream = offer.connect(address).await.unwrap();
            stream.get_ref().1.peer_certificates().unwrap()[0].to_vec() == second.der
        })
    });
    assert!(requests > 0);

    fs::remove_file(files(site.folder.path()).key).unwrap();
    wait_until("the failure shows", || {
        admin(&mut running, "/readyz?verbose").1.contains("[-]certificate failed: reload-failed")
    });
    assert_eq!(admin(&mut running, "/readyz").0, 200);
    assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 200);
}

/// The audit lines, once there are `count`.
fn audited(running: &mut Running, count: usize) -> Vec<Value> {
    let lines = |running: &Running| -> Vec<Value> {
        running.log().into_iter().filter(|line| line["target"] == "vsecm_scout::audit").collect()
    };
    wait_until("every line is written", || lines(running).len() >= count);
    lines(running)
}

fn audit_lines() {
    let site = Site::new();
    // Not even the libraries' own traces may tell.
    let mut running = Running::start(site.serve().env("RUST_LOG", "trace"));
    let wrong = token(r#"{"sub":"wrong"}"#);
    let address = running.address(HTTPS);
    let asked: &[(&str, &str, u16, &str, Option<&str>)] = &[
        ("/webhook?key=a", &site.token, 200, "ok", Some("default/a")),
        ("/webhook?key=key%3Da%26path%3Dvalue", &site.token, 200, "ok", Some("default/a")),
        ("/webhook?key=a&property=none", &site.token, 422, "no-such-entry", Some("default/a")),
        ("/webhook?key=none", &site.token, 404, "no-such-secret", Some("default/none")),
        ("/webhook?key=UPPER", &site.token, 400, "invalid-key", None),
        ("/webhook?key=a&token=hunter3", &site.token, 400, "unknown-parameter", None),
        ("/webhook?key=a", &wrong, 401, "token-mismatch", None),
        ("/webhook?key=a", "opaque", 401, "token-not-jwt", None),
        ("/hunter4", &site.token, 400, "unknown-path", None),
    ];
    for (path, token, status, ..) in asked {
        let roots = site.ca.roots();
        let answer = block_on(async {
            let stream = client::Offer::new(roots, &[]).connect(address).await?;
            let mut sender = client::http1_on(stream).await?;
            let mut request = client::request(path, token);
            let id = format!("caller-{status}").parse().unwrap();
            request.headers_mut().insert("x-request-id", id);
            client::send(&mut sender, request).await
        });
        assert_eq!(answer.unwrap().status, *status);
    }
    block_on(async {
        let offer = client::Offer::new(site.ca.roots(), &["h2"]);
        let mut sender = client::http2_on(offer.connect(address).await.unwrap()).await;
        let path = "https://localhost/webhook?key=a&property=value";
        sender.send_request(client::request(path, &site.token)).await.unwrap();
    });
    block_on(send_malformed_path(&site.ca, address, "webhook?key=hunter5"));
    let mut lines = audited(&mut running, asked.len() + 1);
    assert_eq!(lines.pop().unwrap()["status"], 200, "over HTTP/2");
    assert_eq!(lines.len(), asked.len());
    for (line, (path, _, status, code, key)) in lines.iter().zip(asked) {
        assert_eq!(line["status"], *status, "{path}");
        assert_eq!(line["code"], *code, "{path}");
        assert_eq!(line.get("key").and_then(Value::as_str), *key, "{path}");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["client_request_id"], format!("caller-{status}"));
        assert!(line["request_id"].is_string() && line["latency_ms"].is_number());
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        let let_in = *status != 401 && *path != "/hunter4";
        assert_eq!(line.get("sub").is_some(), let_in, "{path}");
        assert_eq!(line.get("token_hash").is_some(), let_in, "{path}");
    }
    assert_eq!(lines[0]["sub"], "t");

    running.signal("TERM");
    running.wait();
    let log = running.lines().join("\n");
    for secret in ["hunter", &site.token, &wrong, "eyJ", "opaque"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

/// Sends a request that h2 refuses before this program sees it, and waits for its refusal.
async fn send_malformed_path(ca: &Ca, address: SocketAddr, path: &str) {
    // HPACK: :method GET, :scheme https, and a :path that does not begin with a slash. It ends the
    // stream and the headers.
    let mut head = vec![0x82, 0x87, 0x04, path.len() as u8];
    head.extend_from_slice(path.as_bytes());
    let mut stream = client::Offer::new(ca.roots(), &["h2"]).connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream.write_all(&frame(HEADERS, 5, 1, &head)).await.unwrap();
    loop {
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await.unwrap();
        if answer[3] == RST_STREAM {
            break;
        }
        stream.read_exact(&mut vec![0; answer[2].into()]).await.unwrap();
    }
}

fn audit_text() {
    let site = Site::new();
    // A subject that would forge a line, were it written as it is.
    let forging = token(r#"{"sub":"x\nforged \u001b[31m"}"#);
    site.write_token(&forging);
    let mut running = Running::start(site.serve().args(["--log-format", "json"]));
    assert_eq!(site.get(&mut running, "/webhook?key=a", &forging).status, 200);
    assert_eq!(audited(&mut running, 1)[0]["sub"], "x\nforged \u{1b}[31m");
    drop(running);

    let mut running = Running::start(site.serve().args(["--log-format", "text"]));
    let mut address = None;
    wait_until("it listens", || {
        let lines = running.lines();
        let line = lines.iter().find(|line| line.contains(HTTPS));
        address = line.and_then(|line| line.split("address=").nth(1)?.parse().ok());
        address.is_some()
    });
    let roots = site.ca.roots();
    let asked = client::get(&roots, address.unwrap(), "/webhook?key=a", &forging);
    assert_eq!(block_on(asked).unwrap().status, 200);
    wait_until("the line is written", || {
        running.lines().iter().any(|line| line.contains("code=\"ok\""))
    });
    let lines = running.lines();
    let line = lines.iter().find(|line| line.contains("code=\"ok\"")).unwrap();
    for field in [
        "request_id=",
        "peer=",
        "method=",
        "status=200",
        "key=\"default/a\"",
        "sub=\"x\\n",
        "latency_ms=",
    ] {
        assert!(line.contains(field), "{field}: {line}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("forged") || line.contains('\u{1b}')));
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
}

fn levels() {
    let site = Site::new();
    for levels in ["", "h2=debug", "h2=debug,warn,vsecm_scout=info"] {
        let mut running = Running::start(site.serve().env("RUST_LOG", levels));
        assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 200);
        audited(&mut running, 1);
    }
}

fn no_tls() {
    use std::io::Read;
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    // ESO's check of a store, a browser without the s, and a scanner.
    for sent in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &[0xff; 600]] {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(sent).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 200);
    audited(&mut running, 1);
    for line in running.log() {
        let about_the_token = line["target"] == "vsecm_scout::health::token_probe";
        assert!(line["level"] == "INFO" || about_the_token, "{line}");
    }
}

fn expired_certificate() {
    let site = Site::new();
    let ended = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    site.ca.issue_until(ended).write(site.folder.path());
    let mut running = Running::start(&mut site.serve());
    running.find("warning about the certificate", |line| {
        line["message"].as_str()?.contains("EXPIRED").then(|| assert_eq!(line["level"], "ERROR"))
    });
    running.address(HTTPS);
}

fn cut_off() {
    let site = Site::new();
    // An API server that takes connections and never answers.
    let api_server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let kubeconfig = format!(
        "{{current-context: c, contexts: [{{name: c, context: {{cluster: c}}}}], \
         clusters: [{{name: c, cluster: {{server: 'http://{}'}}}}]}}",
        api_server.local_addr().unwrap()
    );
    fs::write(site.path("kubeconfig"), kubeconfig).unwrap();
    for (grace, signals) in [("100ms", 1), ("60s", 2)] {
        let mut command = vsecm_scout(site.folder.path());
        command.args(["serve", "--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
        command.args(["--shutdown-delay", "0s", "--shutdown-grace", grace, "--deadline", "60s"]);
        command.env("KUBECONFIG", "kubeconfig");
        let mut running = Running::start(&mut command);
        let address = running.address(HTTPS);
        let (roots, token) = (site.ca.roots(), site.token.clone());
        let asking = std::thread::spawn(move || {
            block_on(client::get(&roots, address, "/webhook?key=a", &token)).is_err()
        });
        wait_until("the request is in flight", || {
            admin(&mut running, "/metrics").1.contains("vsecm_scout_requests_in_flight 1")
        });
        for _ in 0..signals {
            running.signal("TERM");
            running.find("stop", |line| (line["message"] == "stopping").then_some(()));
        }
        assert_eq!(running.wait().code(), Some(1), "{grace}");
        assert!(asking.join().unwrap());
        wait_until("its line", || running.log().iter().any(|line| line["code"] == "caller-gone"));
    }
}

fn clock_jumps() {
    let mut site = Site::new();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    site.token = token(&format!(r#"{{"nbf":{},"exp":{}}}"#, now - 1800, now + 1800));
    site.write_token(&site.token);
    // The library of faketime, which reads the offset anew at each look at the clock.
    let mut faketime = Command::new("faketime");
    let library =
        output(faketime.args(["-m", "-f", "+0", "sh", "-c", "printf %s \"$LD_PRELOAD\""]));
    let clock = site.path("clock");
    let set = |offset: &str| {
        fs::write(site.path("new"), offset).unwrap();
        fs::rename(site.path("new"), &clock).unwrap();
    };
    set("+0");
    let mut command = site.serve();
    command.env("LD_PRELOAD", String::from_utf8(library.stdout).unwrap());
    command.env("FAKETIME_TIMESTAMP_FILE", &clock).env("FAKETIME_NO_CACHE", "1");
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut running = Running::start(&mut command);
    for (offset, reason) in [
        ("+0", "200"),
        ("+3600", "401 token-expired"),
        ("-3600", "401 token-not-yet-valid"),
        ("+0", "200"),
    ] {
        set(offset);
        let answer = site.get(&mut running, "/webhook?key=a", &site.token);
        let told = answer.reason.filter(|_| answer.status != 200).unwrap_or_default();
        assert_eq!(format!("{} {told}", answer.status).trim(), reason, "{offset}");
    }
    // In good order, or the library would leave its shared memory behind.
    running.signal("TERM");
    assert_eq!(running.wait().code(), Some(0));
    let panics = |line: &Value| line["message"].as_str().is_some_and(|text| text.contains("panic"));
    assert!(!running.log().iter().any(panics));
}

fn doctor() {
    let site = Site::new();
    let doctor = |args: &[&str]| {
        let mut command = vsecm_scout(site.folder.path());
        let output = output(command.args(["doctor", "--source", "manifests:secrets"]).args(args));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("hunter2") && !text.contains(&site.token), "{text}");
        (output.status.code(), text)
    };
    let (status, text) = doctor(&[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("✓ token Secret default/jwt-token: it holds a JWT\n"), "{text}");
    let (status, text) = doctor(&["a", "--property", "value"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("✓ answer: 200, a text\n"), "{text}");

    let (status, text) = doctor(&["a", "--property", "other", "--output", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &report["ok"]), (Some(1), &Value::Bool(false)));
    site.write_token(&token(r#"{"exp":1}"#));
    let (status, text) = doctor(&[]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("✗ token Secret default/jwt-token: the token has expired. "), "{text}");
}

fn doctor_unread() {
    let site = Site::new();
    let doctor = || {
        let mut command = vsecm_scout(site.folder.path());
        command.args(["doctor", "--source", "manifests:secrets", "a"]);
        command
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(output(doctor().stdout(writer)).status.code(), Some(0), "as for head -0");

    // A name that would forge a line, were it written as it is.
    let torn = site.folder.path().join("secrets/torn\nforged\u{1b}.yaml");
    std::fs::write(torn, "kind: [hunter2").unwrap();
    let output = output(&mut doctor());
    assert_eq!(output.status.code(), Some(0), "what was asked for is there");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(r"secrets/torn\nforged\u{1b}.yaml"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
