//! A CA and a server certificate for one machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

use super::write_new;
use crate::server::certificate::{CertificateFiles, Validity};
use crate::server::pem;

/// The files, as Kubernetes names them in a TLS Secret.
const CA: &str = "ca.crt";
const CHAIN: &str = "tls.crt";
const KEY: &str = "tls.key";

const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "vsecm-scout.default.svc.cluster.local"];

/// The CA's name, by which a certificate of ours is known.
const CA_NAME: &str = "vsecm-scout dev CA";

/// How long a new certificate is valid: less than what clients take for too long.
const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Uses the certificate in `folder` while it is valid, and makes one where there is none.
pub fn ensure(folder: &Path) -> anyhow::Result<CertificateFiles> {
    fs::create_dir_all(folder)?;
    let there: Vec<&str> =
        [CA, CHAIN, KEY].into_iter().filter(|file| folder.join(file).exists()).collect();
    match there.len() {
        0 => make(folder)?,
        3 if is_valid(folder)? => {}
        3 if is_ours(folder)? => {
            for file in [CA, CHAIN, KEY] {
                fs::remove_file(folder.join(file))?;
            }
            make(folder)?;
        }
        3 => bail!("{CHAIN} has expired, and was not made here: put a valid one in its place"),
        _ => bail!("there is only {}: remove it, or add the rest", there.join(" and ")),
    }
    Ok(CertificateFiles { chain: folder.join(CHAIN), key: folder.join(KEY) })
}

fn leaf(file: &Path) -> anyhow::Result<Vec<u8>> {
    let chain = pem::certificates(&fs::read(file)?)?;
    Ok(chain.first().with_context(|| format!("{} holds no certificate", file.display()))?.to_vec())
}

fn is_valid(folder: &Path) -> anyhow::Result<bool> {
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
    let lasts = |file| anyhow::Ok(Validity::of(&leaf(&folder.join(file))?)?.not_after > tomorrow);
    Ok(lasts(CA)? && lasts(CHAIN)?)
}

fn is_ours(folder: &Path) -> anyhow::Result<bool> {
    let der = leaf(&folder.join(CHAIN))?;
    Ok(der.windows(CA_NAME.len()).any(|window| window == CA_NAME.as_bytes()))
}

/// Makes all three files. The CA's key is forgotten at once: nothing else is ever to be signed
/// by a CA that somebody may have come to trust.
fn make(folder: &Path) -> anyhow::Result<()> {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut ca = params(&[], CA_NAME)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_certificate = ca.self_signed(&ca_key)?;

    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut server = params(&NAMES, "vsecm-scout")?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let certificate = server.signed_by(&key, &Issuer::new(ca, &ca_key))?;

    write_new(&folder.join(KEY), &key.serialize_pem())?;
    fs::write(folder.join(CHAIN), certificate.pem())?;
    Ok(fs::write(folder.join(CA), ca_certificate.pem())?)
}

fn params(names: &[&str], common_name: &str) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    // An hour back, for clocks that differ.
    params.not_before = (SystemTime::now() - Duration::from_secs(3600)).into();
    params.not_after = (SystemTime::now() + LIFE).into();
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::UnixTime;

    use super::*;

    #[test]
    fn a_pair_is_made_once_and_its_key_is_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let files = ensure(folder.path()).unwrap();
        let first = fs::read(&files.chain).unwrap();
        ensure(folder.path()).unwrap();
        assert_eq!(fs::read(&files.chain).unwrap(), first);
        let mode = fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_certificate_is_for_this_machine_and_for_the_service_in_a_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let files = ensure(folder.path()).unwrap();
        let roots = pem::certificates(&fs::read(folder.path().join(CA)).unwrap()).unwrap();
        let mut store = rustls::RootCertStore::empty();
        store.add(roots[0].clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
        let leaf = leaf(&files.chain).unwrap().into();
        for name in ["localhost", "127.0.0.1", "::1", "vsecm-scout.default.svc.cluster.local"] {
            let name = name.try_into().unwrap();
            let now = UnixTime::now();
            assert!(verifier.verify_server_cert(&leaf, &[], &name, &[], now).is_ok(), "{name:?}");
        }
    }

    #[test]
    fn what_somebody_else_put_there_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(KEY), "mine").unwrap();
        assert!(ensure(folder.path()).is_err());
        assert_eq!(fs::read_to_string(folder.path().join(KEY)).unwrap(), "mine");

        let expired = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut foreign = params(&["localhost"], "somebody else").unwrap();
        foreign.not_after = SystemTime::now().into();
        for file in [CA, CHAIN, KEY] {
            fs::write(expired.path().join(file), foreign.self_signed(&key).unwrap().pem()).unwrap();
        }
        assert!(ensure(expired.path()).is_err());
    }

    #[test]
    fn an_expired_pair_of_ours_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut old = params(&["localhost"], CA_NAME).unwrap();
        old.not_after = SystemTime::now().into();
        for file in [CA, CHAIN, KEY] {
            fs::write(folder.path().join(file), old.self_signed(&key).unwrap().pem()).unwrap();
        }
        let files = ensure(folder.path()).unwrap();
        assert!(Validity::of(&leaf(&files.chain).unwrap()).unwrap().not_after > SystemTime::now());
    }
}
