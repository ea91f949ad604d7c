//! PEM files: what stands in them, and what may not. rustls-pemfile is no longer maintained
//! (RUSTSEC-2025-0134): it is a thin layer over rustls-pki-types, which is, and it stays because the
//! project's dependencies were chosen to include it. This file is the only one that names it.
//!
//! rustls-pemfile passes over blocks that it does not know, and over text that is almost a block.
//! Here each `-----BEGIN` counts, so that nothing in a file is passed over in silence. Other text
//! outside of blocks is allowed: `openssl` writes subjects and whole descriptions there.

use std::io;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls_pemfile::Item;

const BEGIN: &[u8] = b"-----BEGIN";
const END: &[u8] = b"-----END";

/// Why a file is not taken. It tells lines and kinds, and nothing else of what stands there.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum PemError {
    #[error("it is empty")]
    Empty,
    #[error("it begins with a byte-order mark: save it without one")]
    ByteOrderMark,
    #[error("it is UTF-16: save it as plain ASCII")]
    Utf16,
    #[error(
        "it is binary (DER or PKCS#12), not PEM: convert it with `openssl x509`, `openssl pkey` \
         or `openssl pkcs12`"
    )]
    Binary,
    #[error("it holds no {0} in PEM")]
    Missing(&'static str),
    #[error(
        "line {0}: `-----BEGIN` does not start its line; add a line break, or remove the block"
    )]
    NotAtLineStart(usize),
    #[error("line {0}: `-----END` without a `-----BEGIN` before it; the file is damaged")]
    NoBegin(usize),
    #[error("line {0} begins a block that has no end: the file is cut off")]
    NoEnd(usize),
    #[error("line {0} begins a block that is damaged: it is not base64, or ends as another kind")]
    Malformed(usize),
    #[error(
        "line {0} begins an encrypted private key, and the service takes no passphrase: decrypt it \
         with `openssl pkey`"
    )]
    Encrypted(usize),
    #[error("line {0} begins a second private key: leave only the one of the certificate")]
    SecondKey(usize),
    #[error("line {line} begins {found}: {allowed}")]
    Foreign { line: usize, found: &'static str, allowed: &'static str },
}

/// A block, from its `-----BEGIN` up to the next one or the end of the file.
struct Block<'a> {
    line: usize,
    text: &'a [u8],
}

/// A certificate, and the line at which its block begins.
#[derive(Debug)]
pub struct PemCertificate {
    /// The line, counted from 1.
    pub line: usize,
    /// The certificate.
    pub der: CertificateDer<'static>,
}

/// The certificates in a PEM text, in their order; other blocks are passed over, as Go does in a
/// bundle of CAs.
///
/// # Errors
/// Where a block is malformed.
pub fn certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    rustls_pemfile::certs(&mut &*pem).collect()
}

/// The certificates of a server's chain, at least one.
///
/// # Errors
/// Where there is anything but certificates.
pub fn chain(pem: &[u8]) -> Result<Vec<PemCertificate>, PemError> {
    let allowed = "this file is for certificates alone; the private key belongs into its own";
    let certificate = |block: &Block<'_>| match block.label() {
        b"CERTIFICATE" => match block.decode()? {
            Item::X509Certificate(der) => Ok(PemCertificate { line: block.line, der }),
            _ => Err(PemError::Malformed(block.line)),
        },
        _ => Err(block.foreign(allowed)),
    };
    let chain = blocks(pem)?.iter().map(certificate).collect::<Result<Vec<_>, _>>()?;
    if chain.is_empty() { Err(PemError::Missing("certificate")) } else { Ok(chain) }
}

/// The one private key in a PEM text. EC parameters may stand beside it, as `openssl ecparam
/// -genkey` writes them.
///
/// # Errors
/// Where there is no key, a second one, or anything else.
pub fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, PemError> {
    let allowed = "this file is for one private key alone, in PKCS#8, PKCS#1 or SEC 1";
    let mut found = None;
    for block in blocks(pem)? {
        match block.label() {
            b"EC PARAMETERS" => continue,
            b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" if !block.is_encrypted() => {}
            b"ENCRYPTED PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" => {
                return Err(PemError::Encrypted(block.line));
            }
            _ => return Err(block.foreign(allowed)),
        }
        let key: PrivateKeyDer<'static> = match block.decode()? {
            Item::Pkcs8Key(key) => key.into(),
            Item::Pkcs1Key(key) => key.into(),
            Item::Sec1Key(key) => key.into(),
            _ => return Err(PemError::Malformed(block.line)),
        };
        if found.replace(key).is_some() {
            return Err(PemError::SecondKey(block.line));
        }
    }
    found.ok_or(PemError::Missing("private key"))
}

/// All blocks of a text, each with a beginning and an end.
fn blocks(pem: &[u8]) -> Result<Vec<Block<'_>>, PemError> {
    match pem {
        [] => return Err(PemError::Empty),
        [0xef, 0xbb, 0xbf, ..] => return Err(PemError::ByteOrderMark),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => return Err(PemError::Utf16),
        // No text holds it, and all of DER and PKCS#12 does.
        _ if pem.contains(&0) => return Err(PemError::Binary),
        _ => {}
    }
    let line = |at: usize| 1 + pem.iter().take(at).filter(|byte| **byte == b'\n').count();
    let starts = occurrences(pem, BEGIN);
    let first = starts.first().copied().unwrap_or(pem.len());
    if let Some(end) = occurrences(pem, END).into_iter().find(|end| *end < first) {
        return Err(PemError::NoBegin(line(end)));
    }
    let ends = starts.iter().skip(1).copied().chain([pem.len()]);
    let block = |(start, end): (usize, usize)| {
        let text = pem.get(start..end).unwrap_or_default();
        let before = start.checked_sub(1).and_then(|before| pem.get(before));
        if !matches!(before, None | Some(b'\n' | b'\r')) {
            return Err(PemError::NotAtLineStart(line(start)));
        }
        match occurrences(text, END)[..] {
            [] => Err(PemError::NoEnd(line(start))),
            [_] => Ok(Block { line: line(start), text }),
            [_, second, ..] => Err(PemError::NoBegin(line(start + second))),
        }
    };
    starts.iter().copied().zip(ends).map(block).collect()
}

/// Where `marker` stands in `text`.
fn occurrences(text: &[u8], marker: &[u8]) -> Vec<usize> {
    let windows = text.windows(marker.len()).enumerate();
    windows.filter(|(_, window)| *window == marker).map(|(at, _)| at).collect()
}

impl Block<'_> {
    fn label(&self) -> &[u8] {
        let label = self.text.get(BEGIN.len() + 1..).unwrap_or_default();
        let end = occurrences(label, b"-----").first().copied().unwrap_or_default();
        label.get(..end).unwrap_or_default()
    }

    /// Whether it is encrypted in the way that OpenSSL had before PKCS#8.
    fn is_encrypted(&self) -> bool {
        !occurrences(self.text, b"Proc-Type: 4,ENCRYPTED").is_empty()
    }

    fn decode(&self) -> Result<Item, PemError> {
        let item = rustls_pemfile::read_one_from_slice(self.text).ok().flatten();
        item.map(|(item, _)| item).ok_or(PemError::Malformed(self.line))
    }

    /// That it must not stand there. A label that is not known is not told: it may be anything.
    fn foreign(&self, allowed: &'static str) -> PemError {
        let found = match self.label() {
            b"CERTIFICATE" => "a certificate",
            b"PRIVATE KEY" | b"RSA PRIVATE KEY" | b"EC PRIVATE KEY" => "a private key",
            b"ENCRYPTED PRIVATE KEY" => "an encrypted private key",
            b"OPENSSH PRIVATE KEY" => "a private key in the form of OpenSSH",
            b"DSA PRIVATE KEY" => "a DSA key",
            b"PUBLIC KEY" | b"RSA PUBLIC KEY" => "a public key",
            b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => "a certificate request",
            b"TRUSTED CERTIFICATE" => "a certificate with OpenSSL's trust settings",
            b"X509 CRL" => "a revocation list",
            b"PKCS7" | b"CMS" => "a PKCS#7 bundle",
            b"EC PARAMETERS" | b"DH PARAMETERS" => "parameters",
            _ => "a block of an unknown kind",
        };
        PemError::Foreign { line: self.line, found, allowed }
    }
}

#[cfg(test)]
mod tests;
