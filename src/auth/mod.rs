//! Who may ask: the bearer of the token that the token Secret holds now.

mod bearer;
mod claims;
mod metrics;
mod report;
mod rules;
mod stored;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::{hmac, rand};
use jiff::Timestamp;

pub use bearer::{Bearer, BearerError};
pub use claims::{ClaimFault, OutOfRange};
pub use metrics::Metrics;
pub use report::{PreviousValidity, TokenReport, Validity};
pub use rules::{
    Matched, PREVIOUS_ENTRY, PREVIOUS_UNTIL, Previous, PreviousIgnored, Refusal, StoredTokens,
    TokenRules, TokenSecretError,
};
pub use stored::{KnownToken, OutsideValidity, StoredToken, StoredTokenError};

use crate::secrets::{ReadError, SecretName, SecretStore};

/// Compares bearers with the live token.
pub struct Authenticator {
    store: Arc<dyn SecretStore>,
    secret: SecretName,
    rules: TokenRules,
    hash_key: hmac::Key,
    last: ArcSwapOption<LetIn>,
    metrics: Metrics,
}

/// The token that was last let in, with its hash for logs. It lets nobody in.
struct LetIn {
    token: KnownToken,
    hash: String,
}

/// A caller who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's `sub`.
    pub subject: Option<String>,
    /// Tells tokens apart in logs: a short hash, keyed anew in each process, so that it can
    /// neither be reversed nor compared with anything outside.
    pub token_hash: String,
}

/// Why a caller is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The token Secret could not be read.
    #[error("the token Secret cannot be read: {0}")]
    Read(#[from] ReadError),
    /// It was read, and the bearer is turned away.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Authenticator {
    /// Judges by the token in `secret`, read from `store`.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub fn new(
        store: Arc<dyn SecretStore>,
        secret: SecretName,
        rules: TokenRules,
    ) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let hash_key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new())?;
        let (last, metrics) = (ArcSwapOption::empty(), Metrics::default());
        Ok(Self { store, secret, rules, hash_key, last, metrics })
    }

    /// The Secret that holds the token.
    #[must_use]
    pub fn token_secret(&self) -> &SecretName {
        &self.secret
    }

    /// The token in numbers.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Lets the bearer in if it is the token that the Secret holds now: by a read that begins
    /// after this call.
    ///
    /// # Errors
    /// See [`AuthError`].
    pub async fn authenticate(&self, bearer: Bearer<'_>) -> Result<Caller, AuthError> {
        let secret = self.store.read(&self.secret).await?;
        let last = self.last.load();
        let known = last.as_deref().map(|last| &last.token);
        let judged = self.rules.judge(&secret, bearer, Timestamp::now(), known);
        let same = last.as_deref().filter(|last| last.token.equals(bearer));
        let Matched { token, is_previous } = judged.inspect_err(|_| {
            if same.is_some() {
                self.last.store(None);
            }
        })?;
        if is_previous {
            self.metrics.previous_token_used();
        }
        let token_hash = same.map(|last| last.hash.clone()).unwrap_or_else(|| {
            let hash = self.hash(bearer);
            let last = LetIn { token: token.to_known(), hash: hash.clone() };
            self.last.store(Some(Arc::new(last)));
            hash
        });
        Ok(Caller { subject: token.subject().map(str::to_owned), token_hash })
    }

    /// Whether [`authenticate`](Self::authenticate) will probably let this bearer in, because it
    /// was the last one to be let in. Work may begin on that, but nothing may be answered.
    #[must_use]
    pub fn expects(&self, bearer: Bearer<'_>) -> bool {
        self.last.load().as_deref().is_some_and(|last| last.token.equals(bearer))
    }

    /// Looks at the token without a bearer, for readiness and reports. It decides nothing about
    /// who gets in.
    ///
    /// # Errors
    /// Where the Secret cannot be read.
    pub async fn inspect(&self) -> Result<TokenReport, ReadError> {
        let secret = self.store.read(&self.secret).await?;
        Ok(self.rules.report(&secret, Timestamp::now()))
    }

    fn hash(&self, bearer: Bearer<'_>) -> String {
        let tag = hmac::sign(&self.hash_key, bearer.as_str().as_bytes());
        tag.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}
