//! Child processes that end with the test process, however that ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;
use std::{io, thread};

use anyhow::{Context, Result, bail};
pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, WaitId, WaitIdOptions, kill_process, waitid};

use super::wait::eventually;

/// A command whose process the kernel kills when the test process is gone, even
/// after a SIGKILL that lets no destructor run. Arguments and environment are
/// added as to any other command.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Runs `command` to its end, within a deadline, and collects what it wrote.
pub(crate) async fn output(mut command: Command, within: Duration) -> Result<Output> {
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut process = Process(spawn(command)?);
    let status = eventually("its end", within, || std::future::ready(process.exited())).await?;
    Ok(Output { status, stdout: read(stdout)?, stderr: read(stderr)? })
}

/// The whole of a file that a child has written.
fn read(mut file: File) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// Starts `command` on a thread that lives as long as the process: the kernel
/// watches the *thread* that started a child, and a test's thread ends with its test.
fn spawn(command: Command) -> io::Result<process::Child> {
    type Job = (Command, mpsc::Sender<io::Result<process::Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::spawn(move || {
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });
    let (reply, answer) = mpsc::channel();
    SPAWNER.send((command, reply)).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}

/// A process that is killed when it is dropped.
struct Process(process::Child);

impl Process {
    /// How it ended, if it has.
    fn exited(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// Kills it, which works on a stopped one too, and waits for its end.
    fn kill(&mut self) -> Result<ExitStatus> {
        self.0.kill()?;
        Ok(self.0.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A long-running child process with a log file. Dropping it kills it.
pub(crate) struct Child {
    process: Process,
    name: String,
    log: PathBuf,
}

impl Child {
    /// Starts `command` (from [`command`]); what it writes is appended to `log`,
    /// whose file name without its extension names the child in errors.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Result<Self> {
        let name = log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let process = Process(spawn(command).with_context(|| format!("cannot start {name}"))?);
        Ok(Self { process, name, log: log.to_owned() })
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// All that the child has written so far.
    pub(crate) fn log(&self) -> Result<String> {
        let log = fs::read(&self.log)?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Sends a signal; an error if the child has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        // Until it is waited for, an ended child keeps its id: no stranger is hit.
        if let Some(status) = self.exited()? {
            bail!("{} has ended: {status}", self.name);
        }
        Ok(kill_process(Pid::from_child(&self.process.0), signal)?)
    }

    /// Pauses the child (SIGSTOP). Until all its threads have seen the signal, some go on.
    pub(crate) async fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let id = WaitId::Pid(Pid::from_child(&self.process.0));
        let stopped = || async {
            Ok(waitid(id.clone(), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG)?.map(drop))
        };
        eventually("a stopped process", Duration::from_secs(10), stopped).await
    }

    /// How the child ended, if it has.
    pub(crate) fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.exited()
    }

    /// An error with the end of the log if the child has ended.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} ended: {status}; its log ends:\n{}", self.name, self.log_tail())
            }
        }
    }

    /// Waits for the child to end by itself.
    pub(crate) async fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        eventually(&what, within, || std::future::ready(self.exited())).await
    }

    /// Ends the child as a kubelet does: SIGTERM, and SIGKILL after `grace`.
    pub(crate) async fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        match self.wait(grace).await {
            Ok(status) => Ok(status),
            Err(_) => self.kill(),
        }
    }

    /// Kills the child (SIGKILL).
    pub(crate) fn kill(&mut self) -> Result<ExitStatus> {
        self.process.kill()
    }

    /// The last lines of the log, for error messages.
    fn log_tail(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(20)).copied().collect::<Vec<_>>().join("\n")
    }
}
