//! The chart, installed as docs/install.md says and upgraded as docs/upgrading.md says.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tempfile::TempDir;

use super::pod::Container;
use crate::harness::{ControlPlane, DeployParts, Kubectl};
use crate::scout::block_of;
use crate::support::certs::Ca;

/// The page that tells how to install.
pub(super) const PAGE: &str = include_str!("../../../docs/install.md");

/// The page that tells how to upgrade.
const UPGRADING: &str = include_str!("../../../docs/upgrading.md");

/// The namespace's own labels make the API server refuse pods that are not "restricted".
const RESTRICTED: &str = "pod-security.kubernetes.io/enforce=restricted";

/// A namespace under Pod Security "restricted".
pub(super) struct Site {
    pub(super) plane: Arc<ControlPlane>,
    pub(super) namespace: String,
    /// kubectl for the admin, to whom this namespace is the current one.
    pub(super) kubectl: Kubectl,
    /// Where scripts keep the files of the certificate.
    pub(super) folder: TempDir,
}

impl Site {
    /// A new namespace on a control plane that has the CRDs.
    pub(super) async fn new(plane: Arc<ControlPlane>, prefix: &str) -> Result<Self> {
        let namespace = plane.namespace(prefix).await?;
        Self::in_namespace(plane, namespace).await
    }

    /// The namespace `namespace`, which is there.
    pub(super) async fn in_namespace(plane: Arc<ControlPlane>, namespace: String) -> Result<Self> {
        install_crds(&plane).await?;
        plane.kubectl().run(&["label", "namespace", &namespace, RESTRICTED]).await?;
        // A controller that is not here would make it.
        plane.service_account(&namespace, "default").await?;

        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        fs::copy(plane.kubeconfig(), &kubeconfig)?;
        let kubectl = plane.kubectl_with(&kubeconfig);
        kubectl.run(&["config", "set-context", "--current", "--namespace", &namespace]).await?;
        Ok(Self { plane, namespace, kubectl, folder })
    }

    /// Runs the block `name` of docs/install.md for this namespace.
    pub(super) async fn run_block(&self, name: &str) -> Result<String> {
        self.run(block_of(PAGE, name)?).await
    }

    /// Runs the block `name` of docs/upgrading.md for this namespace, with `more` behind its command.
    pub(super) async fn upgrade(&self, name: &str, more: &str) -> Result<String> {
        self.run(&format!("{} {more}", Self::upgrading(name)?)).await
    }

    /// The block `name` of docs/upgrading.md.
    pub(super) fn upgrading(name: &str) -> Result<&'static str> {
        block_of(UPGRADING, name).map(str::trim_end)
    }

    /// Runs a bash script in the project's folder, with kubectl and helm for the admin, for this
    /// namespace where it says `default`.
    pub(super) async fn run(&self, script: &str) -> Result<String> {
        let helm = DeployParts::find()?.helm.display().to_string();
        let home = self.folder.path().join("helm").display().to_string();
        let project = env!("CARGO_MANIFEST_DIR");
        // helm leaves nothing in the home of the person who runs the tests.
        let before = format!(
            "cd '{project}'; helm() {{ '{helm}' \"$@\"; }}\n\
             export HELM_CACHE_HOME='{home}' HELM_CONFIG_HOME='{home}' HELM_DATA_HOME='{home}'\n"
        );
        self.kubectl.script(&(before + &self.fitted(script))).await
    }

    /// [`Self::run_block`] in this site's own folder.
    pub(super) async fn run_block_in_folder(&self, name: &str) -> Result<String> {
        let folder = self.folder.path().display();
        self.run(&format!("cd '{folder}'\n{}", block_of(PAGE, name)?)).await
    }

    fn fitted(&self, text: &str) -> String {
        text.replace("--namespace default", &format!("--namespace {}", self.namespace))
            .replace(".default.svc", &format!(".{}.svc", self.namespace))
    }

    /// Stores a certificate for localhost as the page stores one that is made by hand.
    pub(super) async fn store_certificate(&self, ca: &Ca) -> Result<()> {
        self.write_certificate(ca)?;
        self.run_block_in_folder("certificate-secret").await.map(drop)
    }

    /// Stores one as cert-manager would for the chart's Certificate `name`.
    pub(super) async fn issue_certificate(&self, ca: &Ca, name: &str, issuer: &str) -> Result<()> {
        self.write_certificate(ca)?;
        let (kind, issuer) = issuer.split_once('/').context("no kind of issuer")?;
        let script = format!(
            "cd '{}'
            kubectl create secret generic {name}-tls --namespace default --type kubernetes.io/tls \\
              --from-file tls.crt --from-file tls.key --from-file ca.crt
            kubectl annotate secret {name}-tls --namespace default cert-manager.io/certificate-name={name} \\
              cert-manager.io/issuer-kind={kind} cert-manager.io/issuer-name={issuer}",
            self.folder.path().display()
        );
        self.run(&script).await.map(drop)
    }

    fn write_certificate(&self, ca: &Ca) -> Result<()> {
        ca.issue().write(self.folder.path());
        Ok(fs::write(self.folder.path().join("ca.crt"), ca.pem())?)
    }

    /// An object of this namespace, as the API server has it.
    pub(super) async fn object(&self, name: &str) -> Result<Value> {
        Ok(serde_json::from_str(&self.kubectl.run(&["get", name, "--output", "json"]).await?)?)
    }

    /// All objects of this namespace that `flags` select, but for events: a line each, with the version
    /// of the object.
    pub(super) async fn objects(&self, flags: &str) -> Result<String> {
        self.run(&format!(
            "kinds=$(kubectl api-resources --namespaced --verbs=list --output name | grep -v ^events | paste -sd,)
            kubectl get $kinds --namespace default {flags} --no-headers --ignore-not-found --output \
              custom-columns=KIND:.kind,NAME:.metadata.name,VERSION:.metadata.resourceVersion"
        ))
        .await
    }

    /// The container of the chart's Deployment.
    pub(super) async fn container(&self) -> Result<Container> {
        let deployment = self.object("deployment/vsecm-scout").await?;
        Container::of(&deployment["spec"]["template"]["spec"])
    }

    /// The token that the token Secret holds.
    pub(super) async fn token(&self) -> Result<String> {
        let secret = self.object("secret/jwt-token").await?;
        let token = secret["data"]["token"].as_str().context("no token")?;
        Ok(String::from_utf8(STANDARD.decode(token)?)?)
    }
}

/// Applies the CRDs of cert-manager and the Prometheus operator. A second time changes nothing.
async fn install_crds(plane: &ControlPlane) -> Result<()> {
    let crds = DeployParts::find()?.crds;
    let crds = path(&crds)?;
    let kubectl = plane.kubectl();
    kubectl.run(&["apply", "--server-side", "--validate=false", "-f", crds]).await?;
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "-f", crds]).await?;
    Ok(())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is not UTF-8")
}
