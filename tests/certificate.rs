//! The certificate's files: what the program does with odd ones, at its start and while it runs.
//!
//! What needs another program is listed as ignored where that is missing.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use libtest_mimic::Arguments;
use serde_json::Value;
use support::certs::files;
use support::client;
use support::folder::{HTTPS, Site, admin, block_on};
use support::metrics::value;
use support::process::{Running, output, trial, vsecm_scout, wait_until};
use vsecm_scout::server::certificate::Certificate;
use vsecm_scout::server::tls;

fn main() {
    let trials = vec![
        trial("a_certificate_that_is_not_valid_yet_is_told_loudly_and_once", &[], not_valid_yet),
        trial("a_fifo_in_place_of_a_file_hangs_neither_the_start_nor_reloads", &["mkfifo"], fifo),
        trial("what_openssl_writes_is_taken_or_named", &["sh", "sed", "openssl"], odd_files),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// How many lines of the log begin like this.
fn told(running: &Running, message: &str) -> usize {
    let told = |line: &&Value| line["message"].as_str().is_some_and(|m| m.starts_with(message));
    running.log().iter().filter(told).count()
}

fn not_valid_yet() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    running.address(HTTPS);
    let (start, hour) = (SystemTime::now(), Duration::from_secs(3600));
    site.ca.issue_from(start + hour).write(site.folder.path());
    let verbose = |running: &mut Running| admin(running, "/readyz?verbose").1;
    wait_until("readiness shows it", || {
        verbose(&mut running).contains("[-]certificate failed: not valid before 20")
    });
    let (_, metrics) = admin(&mut running, "/metrics");
    let shown = value(&metrics, "vsecm_scout_certificate_not_before_timestamp_seconds");
    let start = start.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(shown > start + 3000.0, "{shown}");
    // The reloads after it do not tell it again.
    fs::remove_file(files(site.folder.path()).key).unwrap();
    wait_until("both faults are shown", || {
        verbose(&mut running).contains("failed: reload-failed, not valid before 20")
    });
    site.ca.issue().write(site.folder.path());
    wait_until("all is well", || verbose(&mut running).contains("[+]certificate ok\n"));
    running.find("line about the certificate", |line| {
        line["message"].as_str()?.contains("IS NOT VALID YET").then(|| {
            assert_eq!(line["level"], "ERROR");
            assert!(line["dates"].as_str().unwrap().starts_with("not valid before 20"));
        })
    });
    assert_eq!(told(&running, "the certificate IS NOT VALID YET"), 1);
}

fn fifo() {
    let site = Site::new();
    assert!(Command::new("mkfifo").arg(site.path("fifo")).status().unwrap().success());
    for flag in ["--tls-cert", "--tls-key"] {
        let mut command = site.serve();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let at = arguments.iter().position(|argument| argument == flag).unwrap();
        command = vsecm_scout(site.folder.path());
        command.args(&arguments[..=at]).arg("fifo").args(&arguments[at + 2..]);
        let output = output(&mut command);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("fifo cannot be read: it is a FIFO"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }

    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    fs::rename(site.path("fifo"), files(site.folder.path()).key).unwrap();
    let failures = |running: &mut Running| {
        let (_, metrics) = admin(running, "/metrics");
        value(&metrics, "vsecm_scout_certificate_reload_failures_total")
    };
    wait_until("it is tried again", || failures(&mut running) >= 2.0);
    assert_eq!(told(&running, "the certificate cannot be reloaded"), 1);
    assert_eq!(site.get(&mut running, "/webhook?key=a", &site.token).status, 200);
    fs::remove_file(files(site.folder.path()).key).unwrap();
    let new = site.ca.issue();
    new.write(site.folder.path());
    wait_until("the new certificate is served", || {
        block_on(async {
            let offer = client::Offer::new(site.ca.roots(), &[]);
            let stream = offer.connect(address).await.unwrap();
            stream.get_ref().1.peer_certificates().unwrap()[0].to_vec() == new.der
        })
    });
}

/// What makes tls.crt and tls.key in the cases below.
const SHELL: &str = r#"
set -e
certify() { openssl req -x509 -subj /CN=x -key tls.key -out tls.crt "$@"; }
pair() { openssl genpkey -algorithm ED25519 -out tls.key; certify; }
of() { "$@" >tls.key; certify; }
into() { file=$1; shift; "$@" >new; mv new "$file"; }
bom() { printf '\357\273\277'; cat "$1"; }
# By a root: with a key, a signature of its own, and a signature of the other, as they are given.
issued() {
  openssl genpkey $1 -out ca.key
  openssl req -x509 $2 -subj /CN=ca -key ca.key -out ca.crt
  openssl genpkey -algorithm ED25519 -out tls.key
  openssl req -new -subj /CN=x -key tls.key -out csr
  echo subjectAltName=DNS:x >ext
  openssl x509 -req -in csr -extfile ext -CA ca.crt -CAkey ca.key $3 >tls.crt
  cat ca.crt >>tls.crt
}
p256='-algorithm EC -pkeyopt ec_paramgen_curve:P-256'
rsa='-algorithm RSA -pkeyopt rsa_keygen_bits'
pss='-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32'
"#;

const TAKEN: &[&str] = &[
    "pair",
    "of openssl genrsa 2048",
    "of openssl ecparam -name prime256v1 -genkey",
    "of openssl ecparam -name secp384r1 -genkey -noout",
    "of openssl genrsa -traditional 3072; certify -text",
    "pair; sed -i 's/$/\r/' tls.crt tls.key",
    "issued \"$p256\"",
    "issued \"$rsa:2048\" '' \"-sha256 $pss\"",
    "issued \"$rsa:4096\" '' -sha512",
    // Nobody asks how a root signs itself.
    "issued \"$rsa:2048\" -sha1 -sha256",
];

/// And a part of the error.
const REFUSED: &[(&str, &str)] = &[
    (
        "pair; into tls.key openssl pkey -in tls.key -aes256 -passout pass:hunter2",
        "tls.key: line 1 begins an encrypted private key",
    ),
    (
        "of openssl genrsa 2048; \
         into tls.key openssl rsa -in tls.key -traditional -aes128 -passout pass:hunter2",
        "tls.key: line 1 begins an encrypted private key",
    ),
    ("pair; into tls.key bom tls.key", "tls.key: it begins with a byte-order mark"),
    ("pair; into tls.crt bom tls.crt", "tls.crt: it begins with a byte-order mark"),
    ("pair; into tls.key openssl pkey -in tls.key -outform der", "tls.key: it is binary"),
    (
        "of openssl genrsa 2048; into tls.key openssl rsa -in tls.key -outform der",
        "tls.key: it is binary",
    ),
    ("pair; into tls.crt openssl x509 -in tls.crt -outform der", "tls.crt: it is binary"),
    (
        "pair; into tls.crt openssl pkcs12 -export -in tls.crt -inkey tls.key -passout pass:",
        "tls.crt: it is binary",
    ),
    ("of openssl genrsa 1024", "certificate 1 has an RSA key of 1024 bits"),
    ("issued \"$rsa:1024\"", "certificate 2 has an RSA key of 1024 bits"),
    ("of openssl genpkey -algorithm ED448", "a key of the type 1.3.101.113"),
    ("of openssl ecparam -name secp256k1 -genkey", "a key of the type 1.3.132.0.10"),
    (
        "of openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
        "a key of the type 1.2.840.113549.1.1.10",
    ),
    (
        "pair; openssl req -new -subj /CN=x -key tls.key -out csr; \
         openssl x509 -req -in csr -signkey tls.key >tls.crt",
        "certificate 1 is of X.509 version 1",
    ),
    ("issued \"$p256\" '' -sha1", "certificate 1 is signed in a way that is not supported"),
    ("pair; openssl genpkey -algorithm ED25519 >>tls.key", "line 4 begins a second private key"),
    ("pair; cat tls.key >>tls.crt", "begins a private key"),
    ("pair; cat tls.crt >>tls.key", "tls.key: line 4 begins a certificate"),
    ("pair; into tls.crt openssl x509 -in tls.crt -trustout", "OpenSSL's trust settings"),
    ("pair; into tls.key openssl pkey -in tls.key -pubout", "tls.key: line 1 begins a public key"),
    ("pair; openssl genpkey -algorithm ED25519 >tls.key", "is not the key of the certificate"),
    ("of openssl genrsa 2048; sed -i 3d tls.key", "the private key cannot be used"),
];

fn odd_files() {
    let load = |script: &str| {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        let made = output(shell.current_dir(&folder).args(["-c", &format!("{SHELL}{script}")]));
        assert!(made.status.success(), "{script}\n{}", String::from_utf8_lossy(&made.stderr));
        let loaded = Certificate::load(files(folder.path()), tls::provider());
        loaded.map(drop).map_err(|error| error.to_string())
    };
    for script in TAKEN {
        assert_eq!(load(script), Ok(()), "{script}");
    }
    for (script, says) in REFUSED {
        let error = load(script).unwrap_err();
        assert!(error.contains(says), "{script}\n{error}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
    }
}
