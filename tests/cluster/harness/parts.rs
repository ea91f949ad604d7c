//! The programs that the harness runs, and where they are looked for.

use std::env;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The script that builds the parts, as people call it.
pub(crate) const BUILD_SCRIPT: &str = "tests/cluster/build";

/// The programs and files that a control plane with ESO needs.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// The database of the API server.
    pub(crate) etcd: PathBuf,
    /// The API server.
    pub(crate) kube_apiserver: PathBuf,
    /// The command line client.
    pub(crate) kubectl: PathBuf,
    /// ESO's controller.
    pub(crate) external_secrets: PathBuf,
    /// ESO's custom resource definitions, in one YAML file.
    pub(crate) external_secrets_crds: PathBuf,
}

/// What the tests of `deploy/` need besides.
#[derive(Clone, Debug)]
pub(crate) struct DeployParts {
    /// helm.
    pub(crate) helm: PathBuf,
    /// The custom resource definitions of cert-manager and the Prometheus operator that the
    /// manifests use, in one YAML file.
    pub(crate) crds: PathBuf,
}

/// A part that is not where it is looked for.
#[derive(Debug, Error)]
#[error("{} is not there: {BUILD_SCRIPT} builds what the cluster tests run", .0.display())]
pub(crate) struct Missing(PathBuf);

impl Parts {
    /// Finds all parts: those that variables name (see docs/development.md), the others
    /// where the build script puts them.
    pub(crate) fn find() -> Result<Self, Missing> {
        let built = built();
        let assets = path_in("KUBEBUILDER_ASSETS").unwrap_or_else(|| built.clone());
        let eso = path_in("VSECM_SCOUT_TEST_ESO").unwrap_or_else(|| built.join("external-secrets"));
        Ok(Self {
            etcd: present(assets.join("etcd"))?,
            kube_apiserver: present(assets.join("kube-apiserver"))?,
            kubectl: present(assets.join("kubectl"))?,
            external_secrets: present(eso)?,
            external_secrets_crds: present(built.join("external-secrets-crds.yaml"))?,
        })
    }
}

impl DeployParts {
    /// Finds them, as [`Parts::find`] does.
    pub(crate) fn find() -> Result<Self, Missing> {
        let built = built();
        let helm = path_in("VSECM_SCOUT_TEST_HELM").unwrap_or_else(|| built.join("helm"));
        Ok(Self { helm: present(helm)?, crds: present(built.join("deploy-crds.yaml"))? })
    }
}

/// Where the build script puts the parts.
fn built() -> PathBuf {
    path_in("VSECM_SCOUT_TEST_PARTS")
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cluster-parts"))
}

/// The path that a variable names; an empty variable is none.
fn path_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn present(path: PathBuf) -> Result<PathBuf, Missing> {
    if path.is_file() { Ok(path) } else { Err(Missing(path)) }
}
