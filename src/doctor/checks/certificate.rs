//! A store's CA against the certificate of the service (pure).

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::Unread;
use crate::doctor::report::Check;
use crate::server::{pem, tls};

/// What a store trusts.
pub enum Ca {
    /// It names none: ESO then trusts the CAs of its image.
    None,
    /// It could not be fetched.
    Unread(Unread),
    /// Its PEM text.
    Pem(Vec<u8>),
}

/// What became of the comparison.
pub enum Compared {
    /// With the certificate that stands at this address, or in this Secret.
    With(String, Result<(), rustls::Error>),
    /// There was nothing to compare with, for this reason.
    Nothing(String),
}

/// The CAs in a PEM text; `None` where it holds none.
pub fn roots(pem: &[u8]) -> Option<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(pem::certificates(pem).ok()?);
    (added > 0).then(|| Arc::new(roots))
}

/// Whether a client that trusts `roots` accepts `chain` from `host`, as rustls judges it.
///
/// # Errors
/// Why it does not.
pub fn verify(
    roots: Arc<RootCertStore>,
    chain: &[CertificateDer<'_>],
    host: &str,
) -> Result<(), rustls::Error> {
    let refuse = |error| rustls::Error::InvalidCertificate(error);
    let (leaf, intermediates) = chain.split_first().ok_or(refuse(CertificateError::BadEncoding))?;
    let host = ServerName::try_from(host.to_owned())
        .map_err(|_| refuse(CertificateError::NotValidForName))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, tls::provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    verifier.verify_server_cert(leaf, intermediates, &host, &[], UnixTime::now()).map(|_| ())
}

/// Judges a store's CA.
pub fn check(subject: &str, host: &str, ca: &Ca, compared: &Compared) -> Check {
    const NAME: &str = "store-ca";
    match (ca, compared) {
        (Ca::None, _) => Check::unknown(
            NAME,
            subject,
            "it names no CA: ESO trusts the public ones of its image, and no private one",
        ),
        (Ca::Unread(Unread::NotFound), _) => Check::fault(
            NAME,
            subject,
            "what its caProvider names is not there",
            "Name the Secret or ConfigMap, and its key, that hold the CA in PEM",
        ),
        (Ca::Unread(error), _) => Check::unknown(NAME, subject, format!("its CA: {error}")),
        (Ca::Pem(pem), _) if roots(pem).is_none() => Check::fault(
            NAME,
            subject,
            "its CA holds no certificate in PEM",
            "Put the PEM text of the CA there (caBundle: in base64)",
        ),
        (Ca::Pem(_), Compared::With(with, verdict)) => judged(subject, host, with, verdict),
        (Ca::Pem(_), Compared::Nothing(why)) => Check::unknown(
            NAME,
            subject,
            format!("its CA was not compared with a certificate: {why}. Set --url or --tls-secret"),
        ),
    }
}

fn judged(subject: &str, host: &str, with: &str, verdict: &Result<(), rustls::Error>) -> Check {
    const NAME: &str = "store-ca";
    let error = match verdict {
        Ok(()) => {
            let finding =
                format!("its CA has signed the certificate of {with}, which is for {host}");
            return Check::ok(NAME, subject, finding);
        }
        Err(rustls::Error::InvalidCertificate(error)) => error,
        Err(error) => {
            return Check::fault(
                NAME,
                subject,
                format!("TLS with {with} fails: {error}"),
                "Make sure that the service itself listens there",
            );
        }
    };
    let (finding, remedy) = match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            format!("its CA did not sign the certificate of {with}"),
            "Put the CA that did into caBundle or what caProvider names".to_owned(),
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => (
            format!("the certificate of {with} is not for {host}"),
            format!("Issue one with {host} among its DNS names, or use a name that it has"),
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (
            format!("the certificate of {with}, or its CA, has expired"),
            "Renew it; the service loads the new files by itself".to_owned(),
        ),
        // Go accepts a certificate that is its own CA, and rustls does not.
        CertificateError::Other(_) if error.to_string().contains("CaUsedAsEndEntity") => {
            let finding = format!("the certificate of {with} is its own CA, which is not checked");
            return Check::unknown(NAME, subject, finding);
        }
        error => {
            (format!("the certificate of {with} is refused: {error}"), "Issue another".to_owned())
        }
    };
    Check::fault(NAME, subject, finding, remedy)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;
    use crate::doctor::report::Status;

    const HOST: &str = "scout.example";

    struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        fn ca(&self) -> Ca {
            Ca::Pem(self.0.pem().into_bytes())
        }

        fn issue(&self, host: &str, expired: bool) -> CertificateDer<'static> {
            let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            if expired {
                params.not_after = std::time::UNIX_EPOCH.into();
            }
            params.signed_by(&KeyPair::generate().unwrap(), &self.0).unwrap().der().clone()
        }
    }

    fn look(ca: &Ca, certificate: &CertificateDer<'_>) -> Check {
        let Ca::Pem(pem) = ca else { panic!("a CA in PEM") };
        let roots = roots(pem).unwrap();
        let verdict = verify(roots, std::slice::from_ref(certificate), HOST);
        check("store", HOST, ca, &Compared::With("Secret default/tls".to_owned(), verdict))
    }

    #[test]
    fn a_ca_is_compared_with_the_certificate() {
        let (ours, other) = (Authority::new(), Authority::new());
        assert_eq!(look(&ours.ca(), &ours.issue(HOST, false)).status, Status::Ok);
        for (check, says) in [
            (look(&other.ca(), &ours.issue(HOST, false)), "did not sign"),
            (look(&ours.ca(), &ours.issue("other.example", false)), "is not for scout.example"),
            (look(&ours.ca(), &ours.issue(HOST, true)), "has expired"),
            (look(&ours.ca(), &CertificateDer::from(vec![1])), "is refused"),
        ] {
            assert_eq!(check.status, Status::Fault, "{check:?}");
            assert!(check.finding.contains(says), "{check:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_its_own_ca_is_not_judged() {
        let ours = Authority::new();
        assert_eq!(look(&ours.ca(), ours.0.der()).status, Status::Unknown);
    }

    #[test]
    fn without_a_ca_or_a_certificate_there_is_nothing_to_compare() {
        let nothing = Compared::Nothing("not reached".to_owned());
        let look = |ca| check("store", HOST, &ca, &nothing);
        assert_eq!(look(Ca::None).status, Status::Unknown);
        assert_eq!(look(Authority::new().ca()).status, Status::Unknown);
        assert_eq!(look(Ca::Unread(Unread::Forbidden)).status, Status::Unknown);
        assert_eq!(look(Ca::Unread(Unread::NotFound)).status, Status::Fault);
        assert_eq!(look(Ca::Pem(b"your-ca-bundle-here".to_vec())).status, Status::Fault);
    }
}
