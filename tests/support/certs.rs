//! Certificates for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_RSA_SHA256,
};
use rustls::RootCertStore;
use vsecm_scout::server::certificate::CertificateFiles;

/// How long a certificate is valid before and after it is made.
const LIFE: Duration = Duration::from_secs(7200);

/// A CA that lives as long as its test.
pub struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Pair {
    pub chain: String,
    pub key: String,
    pub der: Vec<u8>,
}

impl Ca {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(authority("root"), key).unwrap())
    }

    /// A CA that this one certifies.
    pub fn intermediate(&self) -> Self {
        self.intermediate_until(SystemTime::now() + LIFE)
    }

    pub fn intermediate_until(&self, end: SystemTime) -> Self {
        let mut params = authority("intermediate");
        params.not_after = end.into();
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::signed_by(params, key, &self.0).unwrap())
    }

    pub fn issue(&self) -> Pair {
        self.issue_until(SystemTime::now() + LIFE)
    }

    /// A pair with an RSA key, as many a company's CA wants it.
    pub fn issue_rsa(&self) -> Pair {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let now = SystemTime::now();
        self.issue_for(&key, now - LIFE, now + LIFE)
    }

    pub fn issue_until(&self, end: SystemTime) -> Pair {
        self.issue_for(&KeyPair::generate().unwrap(), SystemTime::now() - LIFE, end)
    }

    pub fn issue_from(&self, start: SystemTime) -> Pair {
        self.issue_for(&KeyPair::generate().unwrap(), start, start + LIFE)
    }

    fn issue_for(&self, key: &KeyPair, start: SystemTime, end: SystemTime) -> Pair {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = start.into();
        params.not_after = end.into();
        let certificate = params.signed_by(key, &self.0).unwrap();
        let der = certificate.der().to_vec();
        Pair { chain: certificate.pem(), key: key.serialize_pem(), der }
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Arc::new(roots)
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Pair {
    /// Writes `tls.crt` and `tls.key`.
    pub fn write(&self, folder: &Path) -> CertificateFiles {
        let files = files(folder);
        fs::write(&files.chain, &self.chain).unwrap();
        fs::write(&files.key, &self.key).unwrap();
        files
    }
}

pub fn files(folder: &Path) -> CertificateFiles {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    CertificateFiles { chain: file("tls.crt"), key: file("tls.key") }
}
