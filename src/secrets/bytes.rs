//! Secret bytes.

use std::ops::Deref;

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::ReadError;

/// Base64 as Go's `encoding/base64` decodes it: bits that do not make a byte at the end are ignored.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Bytes of a Secret: zeroed when dropped, and without `Debug`, `Display` and `Serialize`.
#[derive(Clone, Default, Deserialize)]
#[serde(from = "String")]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The bytes that this text in base64 stands for, as an entry of `data` holds it. Line breaks
    /// are passed over, as Go's `encoding/base64` does for the API server.
    ///
    /// # Errors
    /// [`ReadError::InvalidData`] where it is not base64.
    pub fn decode_base64(&self) -> Result<Self, ReadError> {
        let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
        if !self.iter().any(is_break) {
            return LENIENT.decode(&**self).map(Self::from).map_err(|_| ReadError::InvalidData);
        }
        let mut unbroken = self.clone();
        unbroken.0.retain(|byte| !is_break(byte));
        unbroken.decode_base64()
    }

    /// The bytes without ASCII white space at their end, as a file written by `echo` has it.
    #[must_use]
    pub fn trimmed_end(&self) -> &[u8] {
        self.0.trim_ascii_end()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for SecretBytes {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl AsRef<[u8]> for SecretBytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for SecretBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
