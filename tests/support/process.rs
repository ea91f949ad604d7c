//! The binary as a process, which ends with the test, also when that fails.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;

use super::SOON;

/// A test as it is listed: as ignored where a program that it runs is missing.
pub fn trial(name: &'static str, programs: &[&'static str], test: fn()) -> Trial {
    let missing = |program: &&&str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
        !found.is_ok_and(|found| found.status.success())
    };
    let trial = |name: String| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    match programs.iter().find(missing) {
        None => trial(name.to_owned()),
        Some(program) => trial(format!("{name} (needs {program})")).with_ignored_flag(true),
    }
}

/// `vsecm-scout`, in `folder`, with a clean environment of its own variables.
pub fn vsecm_scout(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vsecm-scout"));
    command.current_dir(folder);
    for (name, _) in std::env::vars() {
        if name.starts_with("VSECM_SCOUT_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// `command`, but with a limit as `ulimit` takes it, soft and hard.
pub fn limited(command: &Command, limit: &str) -> Command {
    after(command, &format!("ulimit {limit}"))
}

/// `command`, begun by a shell that does `this` before.
fn after(command: &Command, this: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{this} && exec \"$0\" \"$@\"")]);
    shell.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// A memory cgroup. It must outlive its processes.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// A cgroup of version 1 or 2 that may hold `limit` bytes, where one can be made.
    pub fn new(limit: usize) -> Option<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("vsecm-scout-test-{}-{made}", std::process::id());
        let hierarchies =
            [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        hierarchies.into_iter().find_map(|(root, file)| {
            let folder = Path::new(root).join(&name);
            fs::create_dir(&folder).ok()?;
            let group = Self(folder);
            // The file is the kernel's: in another file system it is not there.
            let mut file = File::options().write(true).open(group.0.join(file)).ok()?;
            file.write_all(limit.to_string().as_bytes()).ok()?;
            Some(group)
        })
    }

    /// `command` within it.
    pub fn confine(&self, command: &Command) -> Command {
        after(command, &format!("echo $$ > {}", self.0.join("cgroup.procs").display()))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// A running process.
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    /// Starts it with this stdout, which is read only if it is a pipe to this process.
    pub fn start_with(command: &mut Command, stdout: Stdio) -> Self {
        let mut child = command.stdout(stdout).stdin(Stdio::null()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let reader = child.stdout.take().map(|stdout| {
            let sink = Arc::clone(&lines);
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    sink.lock().unwrap().push(line);
                }
            })
        });
        Self { child, lines, reader }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many files it has open. It is none to whoever may not look: since the process forbids
    /// core dumps, the kernel shows its files to root alone.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, Iterator::count)
    }

    /// A field of `/proc/PID/status` that is an amount of memory, in KiB.
    pub fn memory(&self, field: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// The seconds for which it has occupied a processor.
    pub fn cpu_seconds(&self) -> f64 {
        // The first field holds the time in nanoseconds; it is kept for each thread.
        let threads = fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let times = threads.filter_map(|thread| {
            let times = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            times.split_whitespace().next()?.parse::<f64>().ok()
        });
        times.sum::<f64>() / 1e9
    }

    /// Everything on stdout so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The log so far.
    pub fn log(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for what `look` finds in the log.
    pub fn find<T>(&mut self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            // Before the look: the line may be its last.
            let ended = self.ended().is_some();
            if let Some(found) = self.log().iter().find_map(&look) {
                return found;
            }
            assert!(!ended && Instant::now() < deadline, "no {what}: {:?}", self.lines());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the line with this message and gives its `address`.
    pub fn address(&mut self, message: &str) -> SocketAddr {
        self.find(message, |line| {
            let address = line["message"].as_str().filter(|text| *text == message);
            address.and_then(|_| line["address"].as_str()).map(|text| text.parse().unwrap())
        })
    }

    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end: {:?}", self.lines());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// How it has ended, if it has; then all its lines are there.
    fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap()?;
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        Some(status)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until `condition` holds.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {SOON:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

/// Asks once over plain HTTP, and gives the status and the body.
pub fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // With 1.1 the body might come in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}
