//! A folder from which the program serves, as a process.

use std::fs;
use std::process::Command;

use super::certs::Ca;
use super::client;
use super::process::{Running, http_get, vsecm_scout};
use super::token::token;

pub const HTTPS: &str = "listening for HTTPS";
pub const ADMIN: &str = "listening for admin requests";

/// A folder with a certificate, and `secrets/` with a token and a Secret.
pub struct Site {
    pub ca: Ca,
    pub folder: tempfile::TempDir,
    pub token: String,
}

impl Site {
    pub fn new() -> Self {
        let site = Self {
            ca: Ca::new(),
            folder: tempfile::tempdir().unwrap(),
            token: token(r#"{"sub":"t","exp":4102444800}"#),
        };
        site.ca.issue().write(site.folder.path());
        fs::create_dir(site.folder.path().join("secrets")).unwrap();
        site.write_token(&site.token);
        site.write("a", "scout.vsecm.com/serve: 'true'", "value: hunter2");
        site
    }

    pub fn write(&self, name: &str, labels: &str, entries: &str) {
        let manifest = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  labels: {{{labels}}}\n\
             stringData:\n  {entries}\n"
        );
        // As an editor does: a file that is half written is never seen.
        let (new, file) = (self.path("new"), self.path(&format!("secrets/{name}.yaml")));
        fs::write(&new, manifest).unwrap();
        fs::rename(new, file).unwrap();
    }

    pub fn write_token(&self, token: &str) {
        self.write("jwt-token", "", &format!("token: '{token}'"));
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub fn serve(&self) -> Command {
        self.serve_on("127.0.0.1:0")
    }

    pub fn serve_on(&self, address: &str) -> Command {
        let mut command = vsecm_scout(self.folder.path());
        command.args(["serve", "--tls-cert", "tls.crt", "--tls-key", "tls.key"]);
        command.args(["--listen", address, "--admin-listen", "127.0.0.1:0"]);
        command.args(["--source", "manifests:secrets"]);
        command.env("VSECM_SCOUT_SHUTDOWN_DELAY", "0s");
        command
    }

    pub fn get(&self, running: &mut Running, path: &str, token: &str) -> client::Answer {
        let address = running.address(HTTPS);
        block_on(client::get(&self.ca.roots(), address, path, token)).unwrap()
    }
}

pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks the admin port.
pub fn admin(running: &mut Running, path: &str) -> (u16, String) {
    http_get(running.address(ADMIN), path)
}
