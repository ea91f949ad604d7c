//! Namespaces and ServiceAccounts for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{self as core, Namespace};
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

use super::control_plane::ControlPlane;
use super::kubeconfig::{self, Credentials};
use super::kubectl::Kubectl;

/// A ServiceAccount with a token.
#[derive(Clone, Debug)]
pub(crate) struct ServiceAccount {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// A kubeconfig for it, which names `token_file` and the control plane's CA
    /// file; its context's namespace is the ServiceAccount's.
    pub(crate) kubeconfig: PathBuf,
    /// The file that holds its token.
    pub(crate) token_file: PathBuf,
    /// kubectl as this ServiceAccount.
    pub(crate) kubectl: Kubectl,
}

impl ServiceAccount {
    /// Its name to RBAC and in the audit log.
    pub(crate) fn user(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.name)
    }

    /// Its token, as the file holds it now.
    pub(crate) fn token(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.token_file)?)
    }
}

impl ControlPlane {
    /// Creates a namespace of its own for a test. Nobody ever deletes it: that is
    /// the work of a controller which is not here.
    pub(crate) async fn namespace(&self, prefix: &str) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace { metadata: named(&name), ..Namespace::default() };
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(name)
    }

    /// Creates a ServiceAccount and issues a token for it, good for an hour.
    pub(crate) async fn service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<ServiceAccount> {
        let account =
            core::ServiceAccount { metadata: named(name), ..core::ServiceAccount::default() };
        let accounts: Api<core::ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        accounts.create(&PostParams::default(), &account).await?;
        self.token_of(namespace, name).await
    }

    /// Issues a token for a ServiceAccount that is there, good for an hour.
    pub(crate) async fn token_of(&self, namespace: &str, name: &str) -> Result<ServiceAccount> {
        let file = |extension: &str| self.folder().join(format!("{namespace}.{name}.{extension}"));
        let (token_file, kubeconfig) = (file("token"), file("kubeconfig"));
        fs::write(&token_file, self.token(namespace, name).await?)?;
        kubeconfig::write(
            &kubeconfig,
            self.server(),
            &Credentials::TokenFile(&token_file),
            namespace,
        )?;
        let kubectl = self.kubectl_with(&kubeconfig);
        Ok(ServiceAccount {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            kubeconfig,
            token_file,
            kubectl,
        })
    }

    /// Issues a further token for a ServiceAccount, good for an hour.
    pub(crate) async fn token(&self, namespace: &str, name: &str) -> Result<String> {
        let spec =
            TokenRequestSpec { expiration_seconds: Some(3600), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let accounts: Api<core::ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let issued = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        issued.status.and_then(|status| status.token).context("a TokenRequest without a token")
    }

    /// kubectl with a kubeconfig.
    pub(crate) fn kubectl_with(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl::new(&self.parts().kubectl, kubeconfig)
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
