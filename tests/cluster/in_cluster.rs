//! The service in a pod: its configuration is what a kubelet puts there, and changes there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use tempfile::TempDir;

use crate::harness::{self, ControlPlane, Options, Parts, eventually, process, trial};
use crate::load::Load;
use crate::scout::{Scout, Site};
use crate::support::SOON;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let tests = [
        trial(
            "in_cluster::a_token_is_replaced_before_it_ends_and_nobody_notices",
            a_token_is_replaced_before_it_ends_and_nobody_notices,
        ),
        trial(
            "in_cluster::a_token_that_has_ended_is_a_503_until_it_is_replaced",
            a_token_that_has_ended_is_a_503_until_it_is_replaced,
        ),
        trial("in_cluster::a_replaced_ca_is_picked_up", a_replaced_ca_is_picked_up),
    ];
    let possible = namespaces_can_be_made();
    let listed = |test: Trial| {
        if possible || test.has_ignored_flag() {
            test
        } else {
            test.with_kind("needs user and mount namespaces").with_ignored_flag(true)
        }
    };
    tests.into_iter().map(listed).collect()
}

/// Gives a process the folder `$1` as the one of its ServiceAccount. Nobody else sees that.
const MOUNT: &str = "
mount -t tmpfs tmpfs /var/run
mkdir -p /var/run/secrets/kubernetes.io
ln -s \"$1\" /var/run/secrets/kubernetes.io/serviceaccount
shift
exec \"$@\"
";

/// A command that runs `program` with this folder of a ServiceAccount.
fn command(folder: &Path, program: &str) -> Command {
    let mut command = process::command("unshare");
    command.args(["--map-root-user", "--mount", "--", "sh", "-euc", MOUNT, "sh"]);
    command.arg(folder).arg(program);
    command
}

fn namespaces_can_be_made() -> bool {
    let made = command(Path::new("/"), "true").output();
    made.is_ok_and(|made| made.status.success())
}

/// What a kubelet mounts into a pod: links to files behind the link `..data`, which it swaps.
struct Pod {
    folder: TempDir,
}

impl Pod {
    fn new(namespace: &str, token: &str, ca: &str) -> Result<Self> {
        let pod = Self { folder: tempfile::tempdir()? };
        for file in ["namespace", "token", "ca.crt"] {
            symlink(format!("..data/{file}"), pod.folder.path().join(file))?;
        }
        pod.write(namespace, token, ca)?;
        Ok(pod)
    }

    fn write(&self, namespace: &str, token: &str, ca: &str) -> Result<()> {
        let version = tempfile::Builder::new().prefix("..").tempdir_in(&self.folder)?.keep();
        for (file, content) in [("namespace", namespace), ("token", token), ("ca.crt", ca)] {
            fs::write(version.join(file), content)?;
        }
        let new = self.folder.path().join("..data_tmp");
        symlink(version, &new)?;
        Ok(fs::rename(new, self.folder.path().join("..data"))?)
    }

    /// Starts the service in this pod.
    fn start(&self, plane: &ControlPlane, flags: &[&str]) -> Result<Scout> {
        let mut command = command(self.folder.path(), env!("CARGO_BIN_EXE_vsecm-scout"));
        // There is no kubeconfig to fall back on.
        command.env_remove("KUBECONFIG").env("HOME", self.folder.path());
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        command.env("KUBERNETES_SERVICE_PORT", plane.port().to_string());
        Scout::start_by(command, flags)
    }
}

/// Two clients that are well as long as the service is.
fn load<'a>(scout: &'a Scout, site: &'a Site) -> Load<'a> {
    // Without a namespace: it is the pod's own.
    Load::new(scout, &site.token, vec![("key=myremotekey".to_owned(), 200); 2])
}

async fn a_token_is_replaced_before_it_ends_and_nobody_notices() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "pod").await?;
    let ca = fs::read_to_string(plane.ca_file())?;
    let first = BoundToken::issue(&plane, &site, "first").await?;
    let second = BoundToken::issue(&plane, &site, "second").await?;
    let pod = Pod::new(&site.namespace, &first.token, &ca)?;
    let scout = pod.start(&plane, &[])?;
    scout.ready().await?;

    let load = load(&scout, &site);
    let test = async {
        load.recovers().await?;
        pod.write(&site.namespace, &second.token, &ca)?;
        first.end(&plane, &site).await?;
        load.recovers().await
    };
    load.during(test).await?;
    let answers = load.check(SOON, &[])?;
    ensure!(answers.keys().eq(&[200]), "{answers:?}");
    Ok(())
}

async fn a_token_that_has_ended_is_a_503_until_it_is_replaced() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "pod").await?;
    let ca = fs::read_to_string(plane.ca_file())?;
    let first = BoundToken::issue(&plane, &site, "first").await?;
    let second = BoundToken::issue(&plane, &site, "second").await?;
    let pod = Pod::new(&site.namespace, &first.token, &ca)?;
    let scout = pod.start(&plane, &[])?;
    scout.ready().await?;

    let load = load(&scout, &site);
    let test = async {
        load.recovers().await?;
        first.end(&plane, &site).await?;
        load.fails().await?;
        pod.write(&site.namespace, &second.token, &ca)?;
        load.recovers().await
    };
    load.during(test).await?;
    load.check(SOON, &[])?;
    Ok(())
}

async fn a_replaced_ca_is_picked_up() -> Result<()> {
    let mut plane = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let site = Site::new(&plane, "pod").await?;
    let (token, ca) = (site.account.token()?, fs::read_to_string(plane.ca_file())?);
    let pod = Pod::new(&site.namespace, &token, &ca)?;
    let scout = pod.start(&plane, &[])?;
    scout.ready().await?;

    let load = load(&scout, &site);
    let test = async {
        load.recovers().await?;
        plane.restart_with_new_ca().await?;
        // The pod has the old one still: whoever answers there is not trusted.
        load.fails().await?;
        pod.write(&site.namespace, &token, &fs::read_to_string(plane.ca_file())?)?;
        load.recovers().await
    };
    load.during(test).await?;
    load.check(SOON, &["rbac-forbidden"])?;
    Ok(())
}

/// A token of the service's ServiceAccount that ends when a Secret is deleted.
struct BoundToken {
    secret: &'static str,
    token: String,
}

impl BoundToken {
    async fn issue(plane: &ControlPlane, site: &Site, secret: &'static str) -> Result<Self> {
        let kubectl = plane.kubectl();
        let namespace = &*site.namespace;
        kubectl.run(&["create", "secret", "generic", secret, "-n", namespace]).await?;
        let bound = ["--bound-object-kind=Secret", "--bound-object-name", secret];
        let create = ["create", "token", &site.account.name, "-n", namespace];
        let token = kubectl.run(&[&create[..], &bound].concat()).await?;
        Ok(Self { secret, token: token.trim().to_owned() })
    }

    /// Ends it, and waits until the API server, which remembers for some seconds that a token was
    /// good, refuses it.
    async fn end(&self, plane: &ControlPlane, site: &Site) -> Result<()> {
        let delete = ["delete", "secret", self.secret, "-n", &site.namespace];
        plane.kubectl().run(&delete).await?;
        fs::write(&site.account.token_file, &self.token)?;
        eventually("a refusal of the old token", Duration::from_secs(60), || async {
            let read = site.account.kubectl.run(&["get", "secret", "jwt-token"]).await;
            Ok(read.is_err_and(|error| format!("{error:#}").contains("Unauthorized")).then_some(()))
        })
        .await
    }
}
