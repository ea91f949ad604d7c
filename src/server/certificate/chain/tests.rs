use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, GeneralSubtree, IsCa, KeyPair,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512,
    PKCS_ED25519, PKCS_RSA_SHA256, PKCS_RSA_SHA384, PKCS_RSA_SHA512, SignatureAlgorithm,
};
use rustls::pki_types::CertificateDer;

use super::*;
use crate::server::tls;

type Authority = CertifiedIssuer<'static, KeyPair>;
type Der = CertificateDer<'static>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(params(name), KeyPair::generate().unwrap()).unwrap()
}

fn issue(by: &Authority, name: &str) -> Authority {
    CertifiedIssuer::signed_by(params(name), KeyPair::generate().unwrap(), by).unwrap()
}

/// `of`'s name and key, certified by another.
fn cross(of: &Authority, name: &str, by: &Authority) -> Der {
    params(name).signed_by(of.key(), by).unwrap().der().clone()
}

fn look(chain: &[&Der]) -> Result<(), ChainError> {
    let chain: Vec<_> =
        (1..).zip(chain).map(|(line, der)| PemCertificate { line, der: (*der).clone() }).collect();
    verify(&parse(&chain)?, &tls::provider().signature_verification_algorithms)
}

#[test]
fn a_chain_is_taken_with_and_without_its_root() {
    let root = root("root");
    let intermediate = issue(&root, "intermediate");
    let leaf = issue(&intermediate, "leaf");
    let (leaf, intermediate, root) = (leaf.der(), intermediate.der(), root.der());
    for chain in [&[leaf][..], &[leaf, intermediate], &[leaf, intermediate, root], &[root]] {
        assert!(look(chain).is_ok(), "{} certificates", chain.len());
    }
}

#[test]
fn a_cross_signed_root_and_the_root_above_it_are_taken() {
    let (new, old) = (root("new root"), root("old root"));
    let intermediate = issue(&new, "intermediate");
    let leaf = issue(&intermediate, "leaf");
    let crossed = cross(&new, "new root", &old);
    assert!(look(&[leaf.der(), intermediate.der(), &crossed]).is_ok());
    assert!(look(&[leaf.der(), intermediate.der(), &crossed, old.der()]).is_ok());
}

#[test]
fn what_did_not_sign_the_one_before_it_is_no_chain() {
    let (root, other_root) = (root("root"), root("root"));
    let intermediate = issue(&root, "intermediate");
    let leaf = issue(&intermediate, "leaf");
    let other_path = cross(&intermediate, "intermediate", &other_root);
    let other_name = cross(&intermediate, "Intermediate", &root);
    let mut forged = intermediate.der().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = forged.into();
    let (leaf, intermediate, root) = (leaf.der(), intermediate.der(), root.der());
    type Kind = fn(&ChainError) -> bool;
    let issuer: Kind = |error| matches!(error, ChainError::OtherIssuer { .. });
    let signature: Kind = |error| matches!(error, ChainError::NotSigned { .. });
    for (what, chain, kind) in [
        ("a gap", &[leaf, root][..], issuer),
        ("the wrong order", &[leaf, root, intermediate], issuer),
        ("the leaf is last", &[intermediate, leaf], issuer),
        ("one twice", &[leaf, intermediate, intermediate], issuer),
        ("a second path", &[leaf, intermediate, &other_path], issuer),
        ("a name in other letters", &[leaf, &other_name], issuer),
        ("an older root of that name", &[leaf, intermediate, other_root.der()], signature),
        ("one bit of a signature", &[leaf, &forged, root], signature),
    ] {
        let error = look(chain).unwrap_err();
        assert!(kind(&error), "{what}: {error}");
    }
    let error = look(&[leaf, intermediate, other_root.der()]).unwrap_err().to_string();
    assert!(error.starts_with("certificate 3 (line 3) did not sign certificate 2"), "{error}");
    let garbage = Der::from(vec![0x30, 0]);
    let error = look(&[leaf, &garbage]).unwrap_err().to_string();
    assert!(error.starts_with("certificate 2 (line 2) is not X.509"), "{error}");
    let mut trailing = root.to_vec();
    trailing.push(0);
    let error = look(&[leaf, intermediate, &trailing.into()]).unwrap_err().to_string();
    assert!(error.starts_with("certificate 3 (line 3) is not X.509"), "{error}");
}

#[test]
fn signatures_of_all_common_kinds_are_verified() {
    let kinds: [&'static SignatureAlgorithm; 7] = [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
        &PKCS_RSA_SHA384,
        &PKCS_RSA_SHA512,
    ];
    for kind in kinds {
        let new =
            || CertifiedIssuer::self_signed(params("ca"), KeyPair::generate_for(kind).unwrap());
        let (ca, other) = (new().unwrap(), new().unwrap());
        let leaf = issue(&ca, "leaf");
        assert!(look(&[leaf.der(), ca.der()]).is_ok(), "{kind:?}");
        let refused = look(&[leaf.der(), other.der()]);
        assert!(matches!(refused, Err(ChainError::NotSigned { .. })), "{kind:?}");
    }
}

#[test]
fn what_clients_may_object_to_is_theirs_to_say() {
    let root = root("root");
    let mut odd = params("intermediate");
    odd.not_after = (SystemTime::now() - Duration::from_secs(60)).into();
    odd.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    odd.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("elsewhere.example".to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let odd = CertifiedIssuer::signed_by(odd, KeyPair::generate().unwrap(), &root).unwrap();
    let leaf = issue(&odd, "leaf");
    assert!(look(&[leaf.der(), odd.der(), root.der()]).is_ok());
}
