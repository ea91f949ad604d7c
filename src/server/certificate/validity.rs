//! When a certificate is valid.

use std::fmt;
use std::time::SystemTime;

use jiff::Timestamp;
use x509_cert::der::Decode;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// From this time on.
    pub not_before: SystemTime,
    /// Up to this time.
    pub not_after: SystemTime,
}

/// A certificate in use that clients refuse because of its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideValidity {
    /// Its number in the chain. The server's own is the first.
    pub number: usize,
    /// Which of the two it is.
    pub outside: Outside,
}

/// A time outside of a validity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    /// The validity ended then.
    Expired(SystemTime),
    /// It begins then.
    NotYetValid(SystemTime),
}

impl Validity {
    /// The validity of a certificate in DER.
    ///
    /// # Errors
    /// Where it is not X.509.
    pub fn of(der: &[u8]) -> Result<Self, x509_cert::der::Error> {
        Ok((&x509_cert::Certificate::from_der(der)?).into())
    }

    /// On which side `now` lies outside.
    #[must_use]
    pub fn outside_at(&self, now: SystemTime) -> Option<Outside> {
        if now >= self.not_after {
            Some(Outside::Expired(self.not_after))
        } else if now < self.not_before {
            Some(Outside::NotYetValid(self.not_before))
        } else {
            None
        }
    }
}

impl From<&x509_cert::Certificate> for Validity {
    fn from(certificate: &x509_cert::Certificate) -> Self {
        let validity = certificate.tbs_certificate().validity();
        Self {
            not_before: validity.not_before.to_system_time(),
            not_after: validity.not_after.to_system_time(),
        }
    }
}

impl OutsideValidity {
    /// Logs it, as loudly as it hurts.
    pub(super) fn tell(&self) {
        let dates = self.to_string();
        match self.outside {
            Outside::Expired(_) => {
                tracing::error!(dates, "the certificate HAS EXPIRED: clients will refuse it");
            }
            Outside::NotYetValid(_) => {
                tracing::error!(
                    dates,
                    "the certificate IS NOT VALID YET: clients will refuse it until then"
                );
            }
        }
    }
}

impl fmt::Display for OutsideValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.number > 1 {
            write!(f, "certificate {} of the chain ", self.number)?;
        }
        let (what, at) = match self.outside {
            Outside::Expired(at) => ("expired at", at),
            Outside::NotYetValid(at) => ("not valid before", at),
        };
        match Timestamp::try_from(at) {
            Ok(at) => write!(f, "{what} {at}"),
            // Beyond jiff's calendar, in the year 9999.
            Err(_) => write!(f, "{what} the end of 9999"),
        }
    }
}
