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

fn odd_files() {
    // How each makes tls.crt and tls.key, and a part of the error.
    let self_signed = "openssl req -x509 -subj /CN=x -key tls.key -out tls.crt";
    let pair = &format!("openssl genpkey -algorithm ED25519 -out tls.key; {self_signed}");
    let rsa = &format!("openssl genrsa -out tls.key 2048; {self_signed}");
    // A root with a key and options as given, and a server's certificate of it.
    let root = |key: &str, of_root: &str, of_leaf: &str| {
        format!(
            "openssl genpkey {key} -out ca.key
             openssl req -x509 {of_root} -subj /CN=ca -key ca.key -out ca.crt
             openssl genpkey -algorithm ED25519 -out tls.key
             openssl req -new -subj /CN=x -key tls.key -out csr
             echo subjectAltName=DNS:x >ext
             openssl x509 -req -in csr -extfile ext -CA ca.crt -CAkey ca.key {of_leaf} -out tls.crt
             cat ca.crt >>tls.crt"
        )
    };
    let p256 = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";
    let rsa_root = "-algorithm RSA -pkeyopt rsa_keygen_bits";
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32";
    let of_key = |made: &str| format!("{made} >tls.key; {self_signed}");
    let taken = [
        pair.clone(),
        rsa.clone(),
        of_key("openssl ecparam -name prime256v1 -genkey"),
        of_key("openssl ecparam -name secp384r1 -genkey -noout"),
        format!("openssl genrsa -traditional -out tls.key 3072; {self_signed} -text"),
        format!("{pair}; sed -i 's/$/\r/' tls.crt tls.key"),
        root(p256, "", ""),
        // Of a root that signs itself with SHA-1 only that is weak, and nobody asks for it.
        root(&format!("{rsa_root}:2048"), "-sha1", "-sha256"),
        root(&format!("{rsa_root}:2048"), "", &format!("-sha256 {pss}")),
        root(&format!("{rsa_root}:4096"), "", "-sha512"),
    ];
    let refused = [
        (
            format!(
                "{pair}; openssl pkey -in tls.key -aes256 -passout pass:hunter2 -out k; mv k tls.key"
            ),
            "tls.key: line 1 begins an encrypted private key",
        ),
        (
            format!(
                "{rsa}; openssl rsa -in tls.key -aes128 -traditional -passout pass:hunter2 -out k; mv k tls.key"
            ),
            "tls.key: line 1 begins an encrypted private key",
        ),
        (
            format!("{pair}; printf '\\357\\273\\277' | cat - tls.key >k; mv k tls.key"),
            "tls.key: it begins with a byte-order mark",
        ),
        (
            format!("{pair}; printf '\\357\\273\\277' | cat - tls.crt >c; mv c tls.crt"),
            "tls.crt: it begins with a byte-order mark",
        ),
        (
            format!("{rsa}; openssl pkey -in tls.key -outform der -out k; mv k tls.key"),
            "tls.key: it is binary",
        ),
        (
            format!("{pair}; openssl x509 -in tls.crt -outform der -out c; mv c tls.crt"),
            "tls.crt: it is binary",
        ),
        (
            format!(
                "{pair}; openssl pkcs12 -export -in tls.crt -inkey tls.key -passout pass: -out c; mv c tls.crt"
            ),
            "tls.crt: it is binary",
        ),
        (of_key("openssl genrsa 1024"), "certificate 1 has an RSA key of 1024 bits"),
        (root(&format!("{rsa_root}:1024"), "", ""), "certificate 2 has an RSA key of 1024 bits"),
        (of_key("openssl genpkey -algorithm ED448"), "a key of the type 1.3.101.113"),
        (of_key("openssl ecparam -name secp256k1 -genkey"), "a key of the type 1.3.132.0.10"),
        (
            of_key("openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
            "a key of the type 1.2.840.113549.1.1.10",
        ),
        (root(p256, "", "-sha1"), "certificate 1 is signed in a way that is not supported"),
        (
            format!("{pair}; openssl genpkey -algorithm ED25519 >>tls.key"),
            "tls.key: line 4 begins a second private key",
        ),
        (format!("{pair}; cat tls.key >>tls.crt"), "begins a private key"),
        (format!("{pair}; cat tls.crt >>tls.key"), "tls.key: line 4 begins a certificate"),
        (
            format!("{pair}; openssl x509 -in tls.crt -trustout -out c; mv c tls.crt"),
            "a certificate with OpenSSL's trust settings",
        ),
        (
            format!("{pair}; openssl pkey -in tls.key -pubout -out k; mv k tls.key"),
            "tls.key: line 1 begins a public key",
        ),
        (
            format!("{pair}; openssl genpkey -algorithm ED25519 -out tls.key"),
            "is not the key of the certificate",
        ),
        (format!("{rsa}; sed -i 3d tls.key"), "tls.key"),
    ];
    let made = |script: &str| {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("set -e\n{script}");
        let made = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output();
        let made = made.unwrap();
        assert!(made.status.success(), "{script}\n{}", String::from_utf8_lossy(&made.stderr));
        let loaded = Certificate::load(files(folder.path()), tls::provider());
        loaded.map(drop).map_err(|error| error.to_string())
    };
    for script in taken {
        assert_eq!(made(&script), Ok(()), "{script}");
    }
    for (script, says) in refused {
        let error = made(&script).unwrap_err();
        assert!(error.contains(says), "{script}\n{error}");
        assert!(!error.contains("hunter2") && !error.contains('\n'), "{error}");
    }
}
