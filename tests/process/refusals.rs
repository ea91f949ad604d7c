//! Refusals, as the real curl sees them while it is still sending.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::support::client::Offer;
use crate::support::folder::{HTTPS, Site};
use crate::support::process::Running;

/// How many clients ask at once.
const CLIENTS: usize = 20;

/// A head's field in a file that curl reads, of so many KiB in all: some of 8 KiB, or a single one.
fn head(site: &Site, kib: usize, single: bool) -> String {
    let path = site.path(&format!("head-{kib}-{single}"));
    let fields = if single { 1 } else { kib / 8 };
    let field = |number| format!("X-{number}: {}\n", "a".repeat(kib * 1024 / fields));
    fs::write(&path, (0..fields).map(field).collect::<String>()).unwrap();
    format!("@{}", path.display())
}

/// What each client prints: the version of HTTP and the status, or why there is none.
fn ask(arguments: &[&str]) -> Vec<String> {
    let curl = || {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-o", "/dev/null"]);
        curl.args(["-w", "%{http_version} %{http_code}"]).args(arguments);
        curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let asking: Vec<_> = (0..CLIENTS).map(|_| curl()).collect();
    let outputs = asking.into_iter().map(|curl| curl.wait_with_output().unwrap());
    let text = |output: std::process::Output| [output.stdout, output.stderr].concat();
    outputs.map(|output| String::from_utf8_lossy(&text(output)).into_owned()).collect()
}

fn refused(arguments: &[&str], expected: &str) {
    let answers = ask(arguments);
    assert!(answers.iter().all(|answer| answer == expected), "{arguments:?}: {answers:?}");
}

pub fn over_http1() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let url = format!("https://localhost:{}/webhook?key=a", running.address(HTTPS).port());
    let common = ["--http1.1", "--insecure", &url];
    // curl itself sends no head of more than 1 MiB.
    for kib in [17, 40, 64, 256, 1016] {
        for single in [true, false] {
            refused(&[&common[..], &["-H", &head(&site, kib, single)]].concat(), "1.1 431");
        }
    }
    let body = site.path("body");
    fs::write(&body, vec![b'x'; 2 << 20]).unwrap();
    let body = format!("@{}", body.display());
    for (method, expected) in [("POST", "1.1 405"), ("GET", "1.1 400")] {
        let sending = ["-X", method, "-H", "Expect:", "--data-binary", &body];
        refused(&[&common[..], &sending].concat(), expected);
    }
}

pub fn over_http2() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let runtime = Runtime::new().unwrap();
    let bridge = runtime.block_on(bridge(&site, running.address(HTTPS)));
    let url = format!("http://{bridge}/webhook?key=a");
    let common = ["--http2-prior-knowledge", &url];
    // curl itself sends no head of more than 64 KiB.
    for kib in [17, 40, 63] {
        for single in [true, false] {
            refused(&[&common[..], &["-H", &head(&site, kib, single)]].concat(), "2 431");
        }
    }
}

/// A port whose connections go on to `address` in TLS, as HTTP/2: curl always offers HTTP/1.1 too,
/// which the service prefers.
async fn bridge(site: &Site, address: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, roots) = (listener.local_addr().unwrap(), site.ca.roots());
    tokio::spawn(async move {
        while let Ok((mut plain, _)) = listener.accept().await {
            let roots = roots.clone();
            tokio::spawn(async move {
                let mut tls = Offer::new(roots, &["h2"]).connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut plain, &mut tls).await;
            });
        }
    });
    port
}
