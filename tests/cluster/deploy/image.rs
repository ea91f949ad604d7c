//! The program as the image holds it: with the loader and the libraries of distroless/cc and nothing
//! else, on a filesystem that is read-only, as a user that is nobody, in a Pod's surroundings.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use libtest_mimic::Trial;
use rustix::process::geteuid;

use super::chart::serve_example;
use super::pod::{Container, TLS, ask};
use super::site::Site;
use crate::harness::{self, ServiceAccount, deploy_trial, process};
use crate::support::certs::Ca;
use crate::support::process::Running;

/// The user of the image and of the chart's pods.
const USER: u32 = 65532;

const PROGRAM: &str = "usr/local/bin/vsecm-scout";

/// Where a Pod has its ServiceAccount.
const ACCOUNT: &str = "var/run/secrets/kubernetes.io/serviceaccount";

/// The libraries of distroless/cc that the program may be linked with.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-"];

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    let trial =
        deploy_trial("deploy::the_program_runs_in_its_image", the_program_runs_in_its_image);
    // To mount and to change the root.
    let root = geteuid().is_root();
    vec![if root { trial } else { trial.with_kind("needs root").with_ignored_flag(true) }]
}

async fn the_program_runs_in_its_image() -> Result<()> {
    let site = Site::new(harness::shared().await?, "image").await?;
    site.run_block("helm-own-certificate").await?;
    let ca = Ca::new();
    site.store_certificate(&ca).await?;
    site.run_block("token").await?;
    serve_example(&site).await?;
    let account = site.plane.token_of(&site.namespace, "vsecm-scout").await?;
    let container = site.container().await?;

    let root = tempfile::tempdir()?;
    lay_out_image(root.path())?;
    lay_out_pod(root.path(), &site, &account)?;
    let mut running = start(&site, &container, root.path())?;
    container.probe(&mut running).await?;
    let ca = site.folder.path().join("ca.crt");
    let path = "/webhook?key=myremotekey&property=username";
    let answer = ask(&mut running, &ca, "localhost", path, &site.token().await?).await?;
    ensure!((answer.status, answer.text()) == (200, "\"scout\""), "{answer:?}");

    let process = process_in(root.path())?;
    is_nobody(&process)?;
    dumps_no_core(&process)?;
    running.signal("TERM");
    Ok(())
}

/// What the image has: the program, what it is linked with, and the few files by which glibc finds
/// users and names.
fn lay_out_image(root: &Path) -> Result<()> {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_vsecm-scout"));
    copy(&program, &root.join(PROGRAM))?;
    let ldd = Command::new("ldd").arg(&program).output()?;
    for line in String::from_utf8(ldd.stdout)?.lines() {
        let Some(file) = line.split_whitespace().find(|word| word.starts_with('/')) else {
            continue;
        };
        let name = Path::new(file).file_name().context("a folder")?.to_string_lossy().into_owned();
        ensure!(
            LIBRARIES.iter().any(|known| name.starts_with(known)),
            "{name} is not in the image"
        );
        copy(Path::new(file), &root.join(file.trim_start_matches('/')))?;
    }
    write(root, "etc/nsswitch.conf", "hosts: files dns\n")?;
    write(root, "etc/passwd", "nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n")?;
    write(root, "etc/group", "nonroot:x:65532:\n")
}

/// What the kubelet adds: names, the ServiceAccount and the certificate.
fn lay_out_pod(root: &Path, site: &Site, account: &ServiceAccount) -> Result<()> {
    write(root, "etc/hosts", "127.0.0.1 localhost kubernetes.default.svc\n")?;
    write(root, &format!("{ACCOUNT}/token"), &account.token()?)?;
    write(root, &format!("{ACCOUNT}/namespace"), &site.namespace)?;
    copy(site.plane.ca_file(), &root.join(ACCOUNT).join("ca.crt"))?;
    for file in ["tls.crt", "tls.key"] {
        let target = root.join(TLS.trim_start_matches('/')).join(file);
        copy(&site.folder.path().join(file), &target)?;
        // As the chart's `defaultMode` and `fsGroup` say.
        fs::set_permissions(&target, Permissions::from_mode(0o440))?;
        chown(&target, Some(0), Some(USER))?;
    }
    Ok(())
}

/// Starts the container in `root`. The first process of the PID namespace is killed with this test,
/// and takes the program with it.
fn start(site: &Site, container: &Container, root: &Path) -> Result<Running> {
    const SCRIPT: &str = r#"
        mount --bind "$ROOT" "$ROOT"
        mount -o remount,bind,ro "$ROOT"
        if touch "$ROOT/written" 2>/dev/null; then exit 1; fi
        trap 'kill -TERM "$child"' TERM
        env --unset ROOT setpriv --no-new-privs chroot --userspec=65532:65532 --groups=65532 "$ROOT" "$@" &
        child=$!
        wait
    "#;
    let mut command = process::command("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["sh", "-euc", SCRIPT, "sh"]).arg(Path::new("/").join(PROGRAM));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("ROOT", root);
    // As in every Pod, but for the name in place of an address: glibc has to resolve it.
    command.env("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc");
    command.env("KUBERNETES_SERVICE_PORT", site.plane.port().to_string());
    Ok(container.start(command, Path::new(TLS)))
}

/// The folder under `/proc` of the program that runs in `root`.
fn process_in(root: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir("/proc")?.flatten() {
        let is_it = fs::read_link(entry.path().join("root")).is_ok_and(|its| its == root);
        if is_it {
            return Ok(entry.path());
        }
    }
    bail!("no process has {} as its root", root.display())
}

/// It is the image's user, has no capability, and can get none.
fn is_nobody(process: &Path) -> Result<()> {
    let status = fs::read_to_string(process.join("status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let user = format!("{USER} {USER} {USER} {USER}");
    for (name, expected) in [
        ("Uid:", user.as_str()),
        ("Gid:", user.as_str()),
        ("CapPrm:", "0000000000000000"),
        ("CapEff:", "0000000000000000"),
        ("CapAmb:", "0000000000000000"),
        ("NoNewPrivs:", "1"),
    ] {
        ensure!(field(name).as_deref() == Some(expected), "{name} {:?}", field(name));
    }
    Ok(())
}

/// Neither a file nor a handler gets its memory, and no process of its user can read it: what is
/// root's under its `/proc` folder tells that the kernel holds it for undumpable.
fn dumps_no_core(process: &Path) -> Result<()> {
    let limits = fs::read_to_string(process.join("limits"))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core = core.context("no limit")?.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(core.starts_with("Max core file size 0 0"), "{core}");
    ensure!(
        fs::metadata(process.join("environ"))?.uid() == 0,
        "another process can read its memory"
    );
    Ok(())
}

fn write(root: &Path, file: &str, text: &str) -> Result<()> {
    let file = root.join(file);
    fs::create_dir_all(file.parent().context("no folder")?)?;
    Ok(fs::write(file, text)?)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(from, to).with_context(|| from.display().to_string()).map(drop)
}
