//! kube-apiserver: its files, its flags and its process.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::etcd;
use super::kubeconfig::{self, Credentials, Server};
use super::parts::Parts;
use super::pki::{self, Authority};
use super::process::{Child, command};

/// Users and groups that tests and ESO act as, by client certificate.
const CLIENTS: [(&str, &str); 2] =
    [("admin", "system:masters"), ("external-secrets", "system:masters")];

/// The names that clients know the API server by.
const NAMES: [&str; 4] = ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default.svc"];

/// The audit policy: who did what with which object, once it is done.
const AUDIT_POLICY: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[{"level":"Metadata"}]}"#;

/// What an API server is started from, in the folder of its control plane:
///
/// - `ca.crt`, `serving.crt`, `serving.key`: its own authority and certificate
/// - `clients-ca.crt` and a certificate, key and kubeconfig for each client
/// - `tokens.key`, `tokens.pub`: sign and verify the tokens of ServiceAccounts
/// - `audit.log`, `kube-apiserver.log`
pub(crate) struct ApiServer {
    folder: PathBuf,
    authority: Authority,
    flags: Vec<String>,
}

impl ApiServer {
    /// Writes the files into `folder`.
    pub(crate) fn new(folder: &Path, flags: Vec<String>) -> Result<Self> {
        let clients = Authority::new("clients")?;
        fs::write(folder.join("clients-ca.crt"), clients.certificate())?;
        for (user, group) in CLIENTS {
            clients.client(user, group)?.write(folder, user)?;
        }
        pki::write_key_pair(folder, "tokens")?;
        fs::write(folder.join("audit-policy.json"), AUDIT_POLICY)?;
        let mut server =
            Self { folder: folder.to_owned(), authority: Authority::new("api-server")?, flags };
        server.renew_authority()?;
        Ok(server)
    }

    /// Replaces the authority of the serving certificate, and so that too.
    pub(crate) fn renew_authority(&mut self) -> Result<()> {
        self.authority = Authority::new("api-server")?;
        // Renamed into place: whoever reads it meanwhile finds the old or the new one.
        let new = self.folder.join("ca.crt.new");
        fs::write(&new, self.authority.certificate())?;
        fs::rename(new, self.ca_file())?;
        self.renew_certificate()
    }

    /// Replaces the serving certificate.
    pub(crate) fn renew_certificate(&self) -> Result<()> {
        self.authority.server(&NAMES)?.write(&self.folder, "serving")
    }

    /// The certificate of the authority that signed the serving certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Where the audit log is written.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Writes the kubeconfigs of the clients.
    pub(crate) fn write_kubeconfigs(&self, server: &Server) -> Result<()> {
        CLIENTS.iter().try_for_each(|(name, _)| {
            let credentials = Credentials::Certificate { folder: &self.folder, name };
            kubeconfig::write(&self.kubeconfig(name), server, &credentials, "default")
        })
    }

    /// The kubeconfig of a client.
    pub(crate) fn kubeconfig(&self, client: &str) -> PathBuf {
        self.folder.join(format!("{client}.kubeconfig"))
    }

    /// Starts the process.
    pub(crate) fn spawn(&self, parts: &Parts, port: u16) -> Result<Child> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut server = command(&parts.kube_apiserver);
        server
            .arg(format!("--etcd-servers={}", etcd::endpoint(&self.folder)))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={port}"))
            // No Endpoints for the API server itself: it refuses loopback there.
            .args(["--endpoint-reconciler-type=none", "--service-cluster-ip-range=10.0.0.0/24"])
            .arg(format!("--tls-cert-file={}", file("serving.crt")))
            .arg(format!("--tls-private-key-file={}", file("serving.key")))
            .arg(format!("--client-ca-file={}", file("clients-ca.crt")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc.cluster.local")
            .arg(format!("--service-account-key-file={}", file("tokens.pub")))
            .arg(format!("--service-account-signing-key-file={}", file("tokens.key")))
            .arg(format!("--audit-policy-file={}", file("audit-policy.json")))
            .arg(format!("--audit-log-path={}", self.audit_log().display()))
            .arg("--audit-log-maxsize=10000") // megabytes: in one file to the end
            // Watches end at SIGTERM; without it the end waits a minute for them.
            .arg("--shutdown-watch-termination-grace-period=2s")
            .args(&self.flags);
        Child::spawn(server, &self.folder.join("kube-apiserver.log"))
    }
}
