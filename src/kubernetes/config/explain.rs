//! What kube's errors mean and what to do. The messages of parsers, and the output of credential
//! plug-ins, may quote what they read, and are never told.

use std::io;

use kube::client::AuthError;
use kube::config::{InClusterError, KubeconfigError, LoadDataError};

/// Why the files of a pod make no configuration.
pub(super) fn in_cluster(error: &InClusterError) -> String {
    match error {
        InClusterError::ReadEnvironmentVariable(_) => {
            "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set: run it in a pod"
                .to_owned()
        }
        InClusterError::ReadDefaultNamespace(error)
        | InClusterError::ReadCertificateBundle(error) => format!(
            "the files of its ServiceAccount cannot be read ({error}): see that \
             automountServiceAccountToken is not false"
        ),
        InClusterError::ParseCertificates(_) => {
            "the CA in its ServiceAccount's files is not in PEM".to_owned()
        }
        _ => "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address".to_owned(),
    }
}

/// Why a kubeconfig makes no configuration.
pub(super) fn kubeconfig(error: &KubeconfigError) -> String {
    use KubeconfigError::*;
    match error {
        ReadConfig(error, _) => format!("{error}. Set KUBECONFIG to one that can be read"),
        Parse(error) => {
            let at =
                error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
            format!("it is not a kubeconfig in YAML{}", at.unwrap_or_default())
        }
        CurrentContextNotSet => {
            "it has no current-context: set one with kubectl config use-context NAME".to_owned()
        }
        LoadContext(name) => format!(
            "it has no context {name:?}, which its current-context names: choose one that kubectl \
             config get-contexts lists"
        ),
        LoadClusterOfContext(name) => format!(
            "it has no cluster {name:?}, which its current context names: add it, or correct the \
             context"
        ),
        MissingClusterUrl => "its cluster has no server: set it to the API server's URL".to_owned(),
        ParseClusterUrl(_) => {
            "its cluster's server is not a URL such as https://HOST:6443".to_owned()
        }
        ParseProxyUrl(_) => "its proxy-url, or HTTPS_PROXY, is not a URL".to_owned(),
        LoadCertificateAuthority(error) => data("cluster's certificate-authority", error),
        LoadClientCertificate(error) => data("user's client-certificate", error),
        LoadClientKey(error) => data("user's client-key", error),
        ParseCertificates(_) => "its cluster's certificate-authority is not in PEM".to_owned(),
        KindMismatch | ApiVersionMismatch => {
            "its kind or apiVersion is another than that of the files before it in KUBECONFIG"
                .to_owned()
        }
        FindPath => "there is no home folder: set KUBECONFIG".to_owned(),
    }
}

fn data(what: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::ReadFile(error, file) => {
            format!("its {what} {} cannot be read ({error})", file.display())
        }
        LoadDataError::DecodeBase64(_) => format!("its {what}-data is not base64"),
        LoadDataError::NoBase64DataOrFile => format!("its {what} is missing"),
    }
}

/// Why a configuration makes no client. `plugin`: the program that gets its credentials.
pub(super) fn client(plugin: Option<&str>, error: &kube::Error) -> String {
    match error {
        kube::Error::Auth(error) => auth(plugin.unwrap_or_default(), error),
        kube::Error::InferKubeconfig(error) => {
            format!("the kubeconfig cannot be used: {}", kubeconfig(error))
        }
        kube::Error::HttpError(_) => {
            "the kubeconfig's user impersonates with a name that no header can hold (as, as-groups)"
                .to_owned()
        }
        _ => "the CA, the client certificate or its key cannot be used: see that each is in PEM, and \
              that certificate and key belong together"
            .to_owned(),
    }
}

fn auth(plugin: &str, error: &AuthError) -> String {
    let of_plugin = |how: String| format!("the credential plug-in {plugin:?} {how}");
    match error {
        AuthError::AuthExecStart(error) => of_plugin(started(error)),
        AuthError::AuthExecRun { out, .. } => of_plugin(format!(
            "has failed ({}): run it by hand to see why. What it prints is not shown, since that \
             may be a credential",
            out.status
        )),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => of_plugin(
            "printed no ExecCredential with a status: run it by hand, perhaps to log in".to_owned(),
        ),
        AuthError::MalformedTokenExpirationDate(_) => {
            of_plugin("printed an expirationTimestamp that is not in RFC 3339".to_owned())
        }
        AuthError::MissingCommand => {
            "the kubeconfig's user has an exec without a command: name the credential plug-in"
                .to_owned()
        }
        AuthError::ReadTokenFile(error, file) => {
            format!("the token in {} cannot be read ({error})", file.display())
        }
        // Of what is left, this is what our features and checks let through.
        AuthError::AuthExec(_) => {
            "the kubeconfig's auth-provider oidc has no id-token: log in with \
                                   kubectl, or use a credential plug-in (exec)"
                .to_owned()
        }
        _ => {
            "the credentials for the API server cannot be loaded: see the user of the kubeconfig's \
              current context"
                .to_owned()
        }
    }
}

fn started(error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => {
            "install it where PATH finds it, or correct the command of the kubeconfig's user"
        }
        io::ErrorKind::PermissionDenied => "make it executable for this user",
        _ => "run it by hand to see why",
    };
    format!("cannot be started ({error}): {remedy}")
}
