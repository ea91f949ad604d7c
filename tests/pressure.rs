//! The program under pressure, as a process: too few files, a log that nobody reads, memory, and
//! an end in the middle of traffic.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use support::client::{self, Offer};
use support::folder::{ADMIN, HTTPS, Site, admin};
use support::process::{MemoryGroup, Running, limited, wait_until};
use support::{SOON, eventually, frames};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const PATH: &str = "/webhook?key=a&property=value";

fn warnings(running: &Running) -> Vec<String> {
    let log = running.log();
    let loud = log.iter().filter(|line| matches!(line["level"].as_str(), Some("WARN" | "ERROR")));
    loud.map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bare_connects_leave_neither_a_warning_nor_a_file() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    wait_until("it is ready", || admin(&mut running, "/readyz").0 == 200);
    let before = running.open_files();
    for _ in 0..500 {
        drop(TcpStream::connect(address).await.unwrap());
    }
    wait_until("all are closed", || running.open_files() <= before);
    assert_eq!(warnings(&running), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_http2_resets_leaves_no_warning() {
    let site = Site::new();
    let mut running = Running::start(&mut site.serve());
    let address = running.address(HTTPS);
    let mut stream = frames::connect(site.ca.roots(), address).await;
    for number in 0..20_000 {
        let flood = [frames::get(2 * number + 1), frames::reset(2 * number + 1)].concat();
        if stream.write_all(&flood).await.is_err() {
            break;
        }
    }
    frames::until_closed(&mut stream).await;
    assert_eq!(warnings(&running), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_few_files_the_cap_is_cut_and_a_flood_passes() {
    let site = Site::new();
    let mut running = Running::start(&mut limited(&site.serve(), "-n 64"));
    let address = running.address(HTTPS);
    running.find("warning that the cap is cut", |line| {
        line["message"].as_str()?.contains("cut to fit").then_some(())
    });
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(TcpStream::connect(address).await.unwrap());
    }
    let ask = async || client::get(&site.ca.roots(), address, PATH, &site.token).await;
    eventually("it answers beside the flood", async || ask().await.is_ok_and(|a| a.status == 200))
        .await;
    assert!(running.open_files() <= 64);
    drop(flood);
    eventually("it answers after it", async || ask().await.is_ok_and(|a| a.status == 200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_for_it_a_connection_waits_and_accepting_does_not_spin() {
    const MEASURED: Duration = Duration::from_secs(1);
    let site = Site::new();
    let mut running = Running::start(&mut limited(&site.serve(), "-n 32"));
    let (address, admin) = (running.address(HTTPS), running.address(ADMIN));
    // Idle connections to the admin port take what files there are.
    let mut idle = Vec::new();
    for _ in 0..32 {
        idle.push(TcpStream::connect(admin).await.unwrap());
    }
    running.find("warning that none is accepted", |line| {
        line["message"].as_str()?.contains("no connection can be accepted").then_some(())
    });
    let before = running.cpu_seconds();
    sleep(MEASURED).await;
    let spent = running.cpu_seconds() - before;
    assert!(spent < MEASURED.as_secs_f64() / 2.0, "{spent} s of the processor in {MEASURED:?}");
    drop(idle);
    let ask = async || client::get(&site.ca.roots(), address, PATH, &site.token).await;
    eventually("it answers", async || ask().await.is_ok_and(|a| a.status == 200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_or_that_is_closed_holds_up_nothing() {
    let site = Site::new();
    // The log does not tell the address: the test chooses a port, on an address of its own.
    let address = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    for read in [false, true] {
        let (reader, writer) = std::io::pipe().unwrap();
        let name = if read { "nobody reads" } else { "closed" };
        let _reader = read.then_some(reader);
        let mut command = site.serve_on(&address.to_string());
        let mut running = Running::start_with(&mut command, Stdio::from(writer));
        drop(command);
        let ask = async || client::get(&site.ca.roots(), address, PATH, &site.token).await;
        eventually("it answers", async || ask().await.is_ok_and(|a| a.status == 200)).await;
        // Far more lines than a pipe and the log's queue hold together.
        let stream = Offer::new(site.ca.roots(), &[]).connect(address).await.unwrap();
        let mut sender = client::http1_on(stream).await.unwrap();
        for _ in 0..10_000 {
            let request = client::request(PATH, &site.token);
            let answer = client::send(&mut sender, request).await.unwrap();
            assert_eq!(answer.status, 200, "{name}");
        }
        running.signal("TERM");
        assert_eq!(running.wait().code(), Some(0), "{name}");
    }
}

/// How long connections are still accepted after the signal.
const DELAY: Duration = Duration::from_secs(1);

/// How long a connection that was just accepted is kept for its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn an_end_under_load_loses_no_request() {
    let site = Site::new();
    let delay = format!("{DELAY:?}");
    let mut running =
        Running::start(site.serve().args(["--shutdown-delay", &delay, "--shutdown-grace", "20s"]));
    let address = running.address(HTTPS);
    wait_until("it is ready", || admin(&mut running, "/readyz").0 == 200);
    let (ending, answered) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for _ in 0..16 {
        let (roots, token) = (site.ca.roots(), site.token.clone());
        let (ending, answered) = (Arc::clone(&ending), Arc::clone(&answered));
        clients.spawn(ask_until_refused(address, roots, token, ending, answered));
    }
    wait_until("traffic", || answered.load(Ordering::SeqCst) > 100);
    ending.set(Instant::now()).unwrap();
    running.signal("TERM");
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(running.wait().code(), Some(0));
}

/// Asks on fresh connections and on kept ones until the port is closed. Until then each request is
/// answered, unless this client itself was so slow that its connection counted as idle.
async fn ask_until_refused(
    address: SocketAddr,
    roots: Arc<RootCertStore>,
    token: String,
    ending: Arc<OnceLock<Instant>>,
    answered: Arc<AtomicUsize>,
) {
    // `quiet`: since when the service may have been waiting for this client.
    let over = |quiet: Instant, error: std::io::Error| {
        let ending = ending.get().expect("nothing is refused before the signal");
        let slow = quiet.elapsed() >= DELAY.min(FIRST_REQUEST);
        let lawful = error.kind() != ErrorKind::TimedOut && (slow || quiet >= *ending + DELAY);
        assert!(lawful, "lost, or refused within the delay: {error}");
    };
    loop {
        let mut quiet = Instant::now();
        let tcp = match TcpStream::connect(address).await {
            Ok(tcp) => tcp,
            Err(error) => return over(Instant::now(), error),
        };
        let offer = Offer::new(Arc::clone(&roots), &[]);
        let stream = match client::shake_hands("localhost", offer.config(), tcp).await {
            Ok(stream) => stream,
            Err(error) => return over(quiet, error),
        };
        let mut sender = client::http1_on(stream).await.unwrap();
        for _ in 0..10 {
            let answer = match client::send(&mut sender, client::request(PATH, &token)).await {
                Ok(answer) => answer,
                Err(error) => return over(quiet, error),
            };
            assert_eq!(answer.status, 200);
            answered.fetch_add(1, Ordering::SeqCst);
            quiet = Instant::now();
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
}

/// A memory cgroup as the chart's limit makes one, where one can be made: beyond it the kernel would
/// end the program.
fn pod() -> Option<MemoryGroup> {
    MemoryGroup::new(128 << 20)
}

fn confined(pod: &Option<MemoryGroup>, command: Command) -> Command {
    match pod {
        Some(pod) => pod.confine(&command),
        None => command,
    }
}

/// What is promised: 64 MiB, and 30 KiB for each open connection above 500.
fn promised(connections: usize) -> usize {
    64 * 1024 + 30 * connections.saturating_sub(500)
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_when_large_answers_are_read_slowly_and_comes_back() {
    const CLIENTS: usize = 128;
    /// What the program may have of address space for data, in KiB: an allocation beyond it would
    /// end it. mimalloc and the stacks of threads reserve more than they use.
    const CEILING: usize = 192 * 1024;
    let site = Site::new();
    site.write(
        "large",
        "scout.vsecm.com/serve: 'true'",
        &format!("value: {}", "x".repeat(1 << 20)),
    );
    let pod = pod();
    let command = limited(&site.serve(), &format!("-d {CEILING}"));
    let mut running = Running::start(&mut confined(&pod, command));
    let address = running.address(HTTPS);
    let ask = async || client::get(&site.ca.roots(), address, PATH, &site.token).await;
    eventually("it answers", async || ask().await.is_ok_and(|a| a.status == 200)).await;

    let before = running.memory("VmRSS:");
    let mut readers = Vec::new();
    for _ in 0..CLIENTS {
        let offer = Offer::new(site.ca.roots(), &[]);
        let mut stream = offer.connect(address).await.unwrap();
        let head = format!("Host: x\r\nAuthorization: Bearer {}\r\n\r\n", site.token);
        let request = format!("GET /webhook?key=large HTTP/1.1\r\n{head}");
        stream.write_all(request.as_bytes()).await.unwrap();
        readers.push(stream);
    }
    // Each gets an answer: the value, or that there are too many of it.
    let mut complete = 0;
    let mut pending: JoinSet<bool> = JoinSet::new();
    for mut stream in readers {
        pending.spawn(async move {
            let mut status = [0; 12];
            timeout(3 * SOON, stream.read_exact(&mut status)).await.unwrap().unwrap();
            assert!([&b"HTTP/1.1 200"[..], b"HTTP/1.1 503"].contains(&&status[..]), "{status:?}");
            &status[9..] == b"200"
        });
    }
    while let Some(whole) = pending.join_next().await {
        complete += usize::from(whole.unwrap());
    }
    assert!(complete > 0);
    let peak = running.memory("VmHWM:");
    assert!(peak <= promised(CLIENTS), "{peak} KiB at most");
    // What a thread has freed comes back while it goes on working.
    eventually("its memory comes back with the next requests", async || {
        drop(storm(&site, address, 64).await);
        running.memory("VmRSS:") <= before + 16 * 1024
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_in_a_storm_of_fresh_connections_and_comes_back() {
    const STORM: usize = 10_000;
    let site = Site::new();
    let (pod, mut command) = (pod(), site.serve());
    command.args(["--max-connections", "1024"]);
    let mut running = Running::start(&mut confined(&pod, command));
    let address = running.address(HTTPS);
    let ask = async || client::get(&site.ca.roots(), address, PATH, &site.token).await;
    eventually("it answers", async || ask().await.is_ok_and(|a| a.status == 200)).await;
    let before = running.memory("VmRSS:");
    let kept = storm(&site, address, STORM).await;
    let peak = running.memory("VmHWM:");
    assert!(peak <= promised(1024), "{peak} KiB at most");
    drop(kept);
    // What a thread has freed comes back while it goes on working.
    eventually("its memory comes back with the next requests", async || {
        drop(storm(&site, address, 64).await);
        running.memory("VmRSS:") <= before + 16 * 1024
    })
    .await;
}

/// As ESO does: a connection for each secret, which it does not close. Gives back the last ones.
async fn storm(site: &Site, address: SocketAddr, requests: usize) -> Vec<client::Http1> {
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        let (roots, token) = (site.ca.roots(), site.token.clone());
        clients.spawn(async move {
            let mut kept = std::collections::VecDeque::new();
            for _ in 0..requests / 8 {
                let stream =
                    Offer::new(Arc::clone(&roots), &["http/1.1"]).connect(address).await.unwrap();
                let mut sender = client::http1_on(stream).await.unwrap();
                let request = client::request(PATH, &token);
                let answer = client::send(&mut sender, request).await.unwrap();
                assert_eq!(answer.status, 200);
                kept.push_back(sender);
                if kept.len() > 200 {
                    kept.pop_front();
                }
            }
            Vec::from(kept)
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// A file of Secrets with one label and one entry each.
fn list(value: &str) -> String {
    let mut list = String::from("apiVersion: v1\nkind: List\nitems:\n");
    for number in 0..10_000 {
        list.push_str(&format!(
            "- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: list-{number}\n    \
             namespace: default\n    labels:\n      scout.vsecm.com/serve: 'true'\n  \
             stringData:\n    value: {value}-{number}\n    username: scout\n"
        ));
    }
    list
}

/// What is small and expands to 10 to the power of 12 texts.
fn alias_bomb() -> String {
    let mut bomb = String::from("kind: ConfigMap\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    bomb
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_bounded_whatever_lies_in_the_folder() {
    let site = Site::new();
    let (pod, mut command) = (pod(), site.serve());
    // To read all of this takes a while without optimization.
    command.args(["--deadline", "60s"]);
    let mut running = Running::start(&mut confined(&pod, command));
    let address = running.address(HTTPS);
    let ask = async |key: &str| {
        let path = format!("/webhook?key={key}&property=value");
        client::get(&site.ca.roots(), address, &path, &site.token).await.unwrap()
    };
    let put = |file: &str, content: &str| {
        let new = site.path("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, site.path("secrets").join(file)).unwrap();
    };
    let small = |number: usize| {
        let head = "---\nkind: Secret\napiVersion: v1\nmetadata: {name: s";
        format!("{head}{number}, labels: {{a: }}}}\ndata: {{a: }}\n")
    };
    for (what, content) in [
        ("a bomb of aliases", alias_bomb()),
        ("many mappings", format!("kind: ConfigMap\na: [{}]", "{a: },".repeat(690_000))),
        ("many Secrets", (0..45_000).map(small).collect()),
        ("one Secret of many entries", {
            let entries: String = (0..160_000).map(|entry| format!("k{entry}: \"\",")).collect();
            format!("{}stringData: {{{entries}}}", small(0))
        }),
        ("one large text", format!("kind: ConfigMap\na: |\n{}", " x\n".repeat(1_300_000))),
        ("one value at many places", {
            let aliases: String = (0..100).map(|copy| format!("  k{copy}: *a\n")).collect();
            format!("{}stringData:\n  k: &a {}\n{aliases}", small(0), "x".repeat(1 << 20))
        }),
    ] {
        put("bad.yaml", &content);
        assert_eq!(ask("a").await.status, 200, "{what}");
        assert_eq!(ask("missing").await.reason.as_deref(), Some("unreadable-manifest"), "{what}");
        let peak = running.memory("VmHWM:");
        assert!(peak <= promised(0), "{what}: {peak} KiB at most");
    }
    let sparse = std::fs::File::create(site.path("secrets/bad.yaml")).unwrap();
    sparse.set_len(300 << 20).unwrap();
    assert_eq!(ask("missing").await.reason.as_deref(), Some("unreadable-manifest"));
    std::fs::remove_file(site.path("secrets/bad.yaml")).unwrap();

    for value in ["one", "two", "three", "four"] {
        put("list.yaml", &list(value));
        assert_eq!(ask("list-9999").await.text(), format!("\"{value}-9999\""));
        let peak = running.memory("VmHWM:");
        assert!(peak <= promised(0), "a large List, changed: {peak} KiB at most");
    }
    // There is no room for as many others.
    put("more.yaml", &list("more").replace("name: list-", "name: more-"));
    assert_eq!(ask("list-9999").await.status, 200);
    assert_eq!(ask("more-9999").await.reason.as_deref(), Some("unreadable-manifest"));
    let peak = running.memory("VmHWM:");
    assert!(peak <= promised(0), "another List: {peak} KiB at most");
}
