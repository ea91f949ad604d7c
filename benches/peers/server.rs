//! The servers, each on core 0, and what their processes take.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

use crate::harness::process::{Child, command};
use crate::harness::{eventually, port};
use crate::load::{Load, Outcome};
use crate::report::Report;

/// The core of the servers.
const CORE: &str = "0";

/// How long is waited for what should happen soon: longer than idle connections stay open.
const CALM: Duration = Duration::from_secs(12);

/// What only audit lines hold.
const AUDIT: &[u8] = b"vsecm_scout::audit";

/// A running server. It ends when it is dropped.
pub(crate) struct Server {
    /// Its name in the tables.
    pub(crate) name: &'static str,
    address: SocketAddr,
    process: Child,
    log: PathBuf,
    /// Requests that it has answered.
    asked: AtomicUsize,
}

impl Server {
    /// Starts `program` with the arguments that `arguments` adds for a port, and waits until it
    /// listens there. What it writes goes to a file in `folder`.
    pub(crate) async fn start(
        name: &'static str,
        program: &Path,
        folder: &Path,
        arguments: impl FnOnce(&mut Command, SocketAddr) -> Result<()>,
    ) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let mut server = command("taskset");
        server.args(["--cpu-list", CORE]).arg(program).env_clear();
        arguments(&mut server, address)?;
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        if log.exists() {
            fs::remove_file(&log)?;
        }
        let mut process = Child::spawn(server, &log)?;
        eventually(name, Duration::from_secs(20), || {
            let listening = TcpStream::connect(address).is_ok();
            std::future::ready(process.check_running().map(|()| listening.then_some(())))
        })
        .await?;
        Ok(Self { name, address, process, log, asked: AtomicUsize::new(0) })
    }

    /// Runs a load on it.
    pub(crate) async fn ask(&self, load: Load) -> Result<Outcome> {
        let outcome = load.run(self.address).await.context(self.name)?;
        self.asked.fetch_add(outcome.latencies.len(), Ordering::Relaxed);
        Ok(outcome)
    }

    /// The time of user and system that all its threads have taken. The kernel counts it in
    /// nanoseconds and tells it in ticks of 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // The name before may hold spaces; proc(5) numbers utime and stime 14 and 15.
        let (_, fields) = stat.rsplit_once(')').context("no process")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
        let ticks: u64 = ticks.sum::<Result<_, _>>()?;
        Ok(Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second())?)
    }

    /// Memory in use, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most memory that was ever in use, in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// Memory in use once it has not shrunk for a while, in bytes.
    pub(crate) async fn settled_memory(&self) -> Result<u64> {
        let (mut least, mut since) = (self.resident()?, Instant::now());
        while since.elapsed() < CALM {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let resident = self.resident()?;
            if resident < least {
                (least, since) = (resident, Instant::now());
            }
        }
        Ok(least)
    }

    /// Notes how many lines of the audit log it has written for the requests so far.
    pub(crate) async fn note_audit_lines(&self, what: &str, report: &mut Report) -> Result<()> {
        let asked = self.asked.load(Ordering::Relaxed);
        let all = || {
            std::future::ready(self.audit_lines().map(|lines| (lines >= asked).then_some(lines)))
        };
        let lines = match eventually("all audit lines", CALM, all).await {
            Ok(lines) => lines,
            Err(_) => self.audit_lines()?,
        };
        report.note(format!("{what}: {lines} audit lines for {asked} requests"));
        Ok(())
    }

    fn audit_lines(&self) -> Result<usize> {
        let log = BufReader::new(File::open(&self.log)?);
        let audit = |line: &[u8]| line.windows(AUDIT.len()).any(|part| part == AUDIT);
        log.split(b'\n').try_fold(0, |lines, line| Ok(lines + usize::from(audit(&line?))))
    }

    fn memory(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)).context("no process")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}
