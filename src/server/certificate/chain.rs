//! Whether the certificates of a file are a chain: each has signed the one before it.
//!
//! Nothing else is asked of them. Whether a client trusts the chain is for the client to say, and
//! rules such as name constraints or key usages are its own.

use rustls::crypto::WebPkiSupportedAlgorithms;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{self, Decode, Encode, EncodeValue, Reader, SliceReader};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::Validity;
use crate::server::pem::PemCertificate;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Why certificates are no chain that clients take. Certificates are counted from 1.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum ChainError {
    #[error("certificate {number} (line {line}) is not X.509: {error}")]
    NotX509 { number: usize, line: usize, error: der::Error },
    #[error(
        "certificate 1 is of X.509 version 1 and names no host: have it issued with a \
         subjectAltName"
    )]
    Version1,
    #[error(
        "certificate {number} has an RSA key of {bits} bits, and 2048 to 8192 are supported: have \
         it issued for another key"
    )]
    RsaSize { number: usize, bits: usize },
    #[error(
        "certificate {number} (line {line}) did not issue certificate {subject}, which names \
         another issuer: put the server's certificate first and after each the one that issued it, \
         and leave out all others"
    )]
    OtherIssuer { number: usize, line: usize, subject: usize },
    #[error(
        "certificate {number} (line {line}) did not sign certificate {subject}, though its name is \
         the issuer's: it is another certificate of that CA, or one of the two is damaged"
    )]
    NotSigned { number: usize, line: usize, subject: usize },
    #[error(
        "certificate {number} is signed in a way that is not supported (signature {signature}, key \
         {key}): have it issued again with SHA-256 or better, or leave out what follows it"
    )]
    Algorithm { number: usize, signature: ObjectIdentifier, key: ObjectIdentifier },
}

/// A certificate of a chain.
pub struct Link {
    /// Its number, from 1.
    pub number: usize,
    line: usize,
    certificate: Certificate,
    /// What its signature is over, as it stands in the file.
    signed: Vec<u8>,
}

/// Parses the certificates.
///
/// # Errors
/// Where one is not X.509, or has an RSA key that is too small or too large, or the first has no
/// extensions.
pub fn parse(chain: &[PemCertificate]) -> Result<Vec<Link>, ChainError> {
    (1..).zip(chain).map(|(number, found)| Link::new(number, found)).collect()
}

/// Checks that each certificate has signed the one before it. The last one is as it is: a root is
/// signed by itself or was left out.
///
/// # Errors
/// Where one has not, or it cannot be verified.
pub fn verify(links: &[Link], algorithms: &WebPkiSupportedAlgorithms) -> Result<(), ChainError> {
    let mut pairs = links.iter().zip(links.iter().skip(1));
    pairs.try_for_each(|(subject, issuer)| subject.verify_issuer(issuer, algorithms))
}

impl Link {
    fn new(number: usize, found: &PemCertificate) -> Result<Self, ChainError> {
        let line = found.line;
        let not_x509 = |error| ChainError::NotX509 { number, line, error };
        let certificate = Certificate::from_der(&found.der).map_err(not_x509)?;
        let signed = signed_part(&found.der).map_err(not_x509)?.to_vec();
        if number == 1 && certificate.tbs_certificate().version() == Version::V1 {
            return Err(ChainError::Version1);
        }
        let spki = certificate.tbs_certificate().subject_public_key_info();
        if spki.algorithm.oid == RSA {
            let bits = rsa_bits(spki).map_err(not_x509)?;
            if !(2048..=8192).contains(&bits) {
                return Err(ChainError::RsaSize { number, bits });
            }
        }
        Ok(Self { number, line, certificate, signed })
    }

    /// When it is valid.
    pub fn validity(&self) -> Validity {
        (&self.certificate).into()
    }

    /// Its public key, in DER.
    pub fn public_key(&self) -> der::Result<Vec<u8>> {
        self.spki().to_der()
    }

    /// The kind of its public key, and the curve where that is a parameter of it.
    pub fn key_type(&self) -> (ObjectIdentifier, Option<ObjectIdentifier>) {
        let algorithm = &self.spki().algorithm;
        let curve = algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
        (algorithm.oid, curve)
    }

    fn spki(&self) -> &SubjectPublicKeyInfoOwned {
        self.certificate.tbs_certificate().subject_public_key_info()
    }

    fn verify_issuer(
        &self,
        issuer: &Self,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), ChainError> {
        let (number, line, subject) = (issuer.number, issuer.line, self.number);
        // As clients look for an issuer: by its name, byte by byte.
        let name = self.certificate.tbs_certificate().issuer();
        if name != issuer.certificate.tbs_certificate().subject() {
            return Err(ChainError::OtherIssuer { number, line, subject });
        }
        let (signature, key) = (self.certificate.signature_algorithm(), &issuer.spki().algorithm);
        let fitting = algorithms.all.iter().filter(|algorithm| {
            is(signature, &algorithm.signature_alg_id()) && is(key, &algorithm.public_key_alg_id())
        });
        let mut outcome =
            Err(ChainError::Algorithm { number: subject, signature: signature.oid, key: key.oid });
        for algorithm in fitting {
            let (key, signature) =
                (&issuer.spki().subject_public_key, self.certificate.signature());
            let verified =
                algorithm.verify_signature(key.raw_bytes(), &self.signed, signature.raw_bytes());
            match verified {
                Ok(()) => return Ok(()),
                Err(_) => outcome = Err(ChainError::NotSigned { number, line, subject }),
            }
        }
        outcome
    }
}

/// Whether an algorithm of a certificate is one of rustls', which names it by the bytes within its
/// SEQUENCE.
fn is(algorithm: &AlgorithmIdentifierOwned, named: &[u8]) -> bool {
    let mut value = Vec::new();
    algorithm.encode_value(&mut value).is_ok() && value == named
}

/// What a certificate's signature is over.
fn signed_part(der: &[u8]) -> der::Result<&[u8]> {
    SliceReader::new(der)?.sequence(|parts| {
        let signed = parts.tlv_bytes()?;
        let (_algorithm, _signature) = (parts.tlv_bytes()?, parts.tlv_bytes()?);
        Ok(signed)
    })
}

/// The size of an RSA key, whose modulus comes first.
fn rsa_bits(spki: &SubjectPublicKeyInfoOwned) -> der::Result<usize> {
    let modulus = SliceReader::new(spki.subject_public_key.raw_bytes())?.sequence(|numbers| {
        let modulus = UintRef::decode(numbers)?;
        numbers.tlv_bytes()?;
        der::Result::Ok(modulus)
    })?;
    let unused = modulus.as_bytes().first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok(modulus.as_bytes().len() * 8 - unused)
}

#[cfg(test)]
mod tests;
