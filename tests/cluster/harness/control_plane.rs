//! etcd and kube-apiserver, running.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::api_server::ApiServer;
use super::audit::{self, AuditEvent};
use super::eso::Eso;
use super::kubeconfig::Server;
use super::kubectl::Kubectl;
use super::parts::Parts;
use super::process::{Child, Signal};
use super::wait::eventually;
use super::{etcd, port};

/// How long the API server may take to become ready: seconds, on an idle machine.
const READY: Duration = Duration::from_secs(90);

/// How long it has to end after SIGTERM: about one second is usual.
const GRACE: Duration = Duration::from_secs(15);

/// What a control plane of one's own may be told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Further flags for kube-apiserver.
    pub(crate) api_server_flags: Vec<String>,
}

/// A control plane. Dropping it ends its processes and removes its files.
pub(crate) struct ControlPlane {
    // In the order in which they are to end.
    eso: OnceCell<Eso>,
    process: Option<Child>,
    _etcd: Child,
    api_server: ApiServer,
    server: Server,
    parts: Parts,
    folder: TempDir,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready.
    pub(crate) async fn start(parts: &Parts, options: Options) -> Result<Self> {
        let mut folder = tempfile::Builder::new().prefix("vsecm-scout-cluster-").tempdir()?;
        folder.disable_cleanup(env::var_os("VSECM_SCOUT_TEST_KEEP").is_some());
        let etcd = etcd::start(parts, folder.path()).await?;
        let api_server = ApiServer::new(folder.path(), options.api_server_flags)?;
        let server = Server { port: 0, ca_file: api_server.ca_file() };
        let mut plane = Self {
            eso: OnceCell::new(),
            process: None,
            _etcd: etcd,
            api_server,
            server,
            parts: parts.clone(),
            folder,
        };
        plane.start_on_free_port().await?;
        Ok(plane)
    }

    /// Starts the API server for the first time: where its port turns out to be
    /// taken, on another one.
    async fn start_on_free_port(&mut self) -> Result<()> {
        for _ in 0..5 {
            self.server.port = port::free()?;
            self.api_server.write_kubeconfigs(&self.server)?;
            match self.start_api_server().await {
                Err(error) if format!("{error:#}").contains("address already in use") => {}
                result => return result,
            }
        }
        bail!("five free ports, and each was taken before the API server had it")
    }

    /// Starts the API server again after [`Self::stop`] or [`Self::kill`], on the
    /// same port and data, and waits until it is ready.
    pub(crate) async fn start_api_server(&mut self) -> Result<()> {
        let mut process = self.api_server.spawn(&self.parts, self.server.port)?;
        let client = self.client().await?;
        let ready = eventually("a ready API server", READY, || {
            let running = process.check_running();
            let client = client.clone();
            async move { if running.is_err() { Ok(Some(running)) } else { is_ready(client).await } }
        });
        ready.await??;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the API server in good order, where it runs, and waits for that.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        if let Some(process) = &mut self.process {
            process.terminate(GRACE).await?;
            self.process = None;
        }
        Ok(())
    }

    /// Kills the API server (SIGKILL).
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process()?.kill()?;
        self.process = None;
        Ok(())
    }

    /// Pauses the API server (SIGSTOP): connections are still accepted, by the
    /// kernel, and nothing is answered.
    pub(crate) async fn pause(&mut self) -> Result<()> {
        self.process()?.pause().await
    }

    /// Lets the API server go on (SIGCONT).
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// Restarts the API server.
    pub(crate) async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.start_api_server().await
    }

    /// Restarts the API server with another serving certificate of the same CA.
    pub(crate) async fn restart_with_new_certificate(&mut self) -> Result<()> {
        self.stop().await?;
        self.api_server.renew_certificate()?;
        self.start_api_server().await
    }

    /// Restarts the API server with a serving certificate of a new CA. The CA
    /// file, which the kubeconfigs name, is the new one from then on.
    pub(crate) async fn restart_with_new_ca(&mut self) -> Result<()> {
        self.stop().await?;
        self.api_server.renew_authority()?;
        self.start_api_server().await
    }

    fn process(&mut self) -> Result<&mut Child> {
        match &mut self.process {
            Some(process) => Ok(process),
            None => bail!("the API server is not running"),
        }
    }

    /// ESO's controller on this control plane, started when first asked for.
    pub(crate) async fn eso(&self) -> Result<&Eso> {
        self.eso.get_or_try_init(|| Eso::start(self)).await
    }

    /// A client for the admin. It fails rather than try again by itself.
    pub(crate) async fn client(&self) -> Result<Client> {
        let kubeconfig = Kubeconfig::read_from(self.kubeconfig())?;
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        config.proxy_url = None;
        config.read_timeout = Some(Duration::from_secs(30));
        Ok(Client::try_from(config)?)
    }

    /// kubectl for the admin.
    pub(crate) fn kubectl(&self) -> Kubectl {
        self.kubectl_with(&self.kubeconfig())
    }

    /// The admin's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of("admin")
    }

    /// The kubeconfig of a user with a client certificate: `admin` or `external-secrets`.
    pub(crate) fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.api_server.kubeconfig(user)
    }

    /// The API server's port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// The file with the certificate of the API server's CA.
    pub(crate) fn ca_file(&self) -> &Path {
        &self.server.ca_file
    }

    /// What `user` has asked of the API server so far. An answer may arrive
    /// shortly before its event does.
    pub(crate) fn audit(&self, user: &str) -> Result<Vec<AuditEvent>> {
        audit::read(&self.api_server.audit_log(), user)
    }

    /// The folder of all its files, logs among them. Tests may put theirs there.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The programs it was started from.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }
}

/// Whether the API server says that it is ready.
async fn is_ready(client: Client) -> Result<Option<Result<()>>> {
    let request = hyper::Request::get("/readyz").body(Vec::new())?;
    let answer =
        tokio::time::timeout(Duration::from_secs(2), client.request_text(request)).await??;
    Ok((answer == "ok").then_some(Ok(())))
}
