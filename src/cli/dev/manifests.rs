//! The token Secret and the example Secrets of `dev`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use aws_lc_rs::rand;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use zeroize::Zeroizing;

use super::write_new;
use crate::auth::TokenRules;
use crate::secrets::manifest;

/// How long a new token is valid.
const TOKEN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Example Secrets by the name of their file.
const EXAMPLES: [(&str, &str); 3] = [
    ("myremotekey.yaml", include_str!("examples/myremotekey.yaml")),
    ("coca-cola.yaml", include_str!("examples/coca-cola.yaml")),
    ("not-served.yaml", include_str!("examples/not-served.yaml")),
];

/// Writes what is not there yet. A token that was made here and has expired is made anew; one
/// that somebody has edited is left alone.
pub fn ensure(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    for (file, contents) in EXAMPLES {
        if !folder.join(file).exists() {
            write_new(&folder.join(file), contents)?;
        }
    }
    let file = folder.join("jwt-token.yaml");
    if file.exists() && is_expired_and_ours(&Zeroizing::new(fs::read_to_string(&file)?)) {
        fs::remove_file(&file)?;
    }
    if !file.exists() {
        write_new(&file, &token_manifest(&mint()?))?;
    }
    Ok(())
}

/// A JWT signed with a key that is forgotten at once: the service compares tokens and needs no
/// key.
fn mint() -> anyhow::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0; 32]);
    rand::fill(&mut *key).context("no random numbers")?;
    let now = Timestamp::now().as_second();
    let claims = serde_json::json!({
        "iss": "vsecm-scout dev",
        "sub": "dev",
        "iat": now,
        "exp": now + i64::try_from(TOKEN_LIFE.as_secs())?,
    });
    let header = Header::new(Algorithm::HS256);
    Ok(Zeroizing::new(encode(&header, &claims, &EncodingKey::from_secret(&*key))?))
}

fn token_manifest(token: &str) -> String {
    include_str!("examples/jwt-token.yaml").replace("TOKEN", token)
}

fn is_expired_and_ours(text: &str) -> bool {
    let rules = TokenRules {
        entry: "token".to_owned(),
        leeway: Duration::ZERO,
        max_overlap: Duration::ZERO,
    };
    let now = Timestamp::now();
    let secrets = manifest::parse(text.as_bytes()).unwrap_or_default();
    secrets.iter().filter_map(|found| found.secret.as_ref().ok()).any(|secret| {
        let expired = rules
            .tokens(secret, now, None)
            .is_ok_and(|tokens| rules.is_valid_at(&tokens.current, now).is_err());
        let token = secret.entries.get("token").and_then(|token| std::str::from_utf8(token).ok());
        expired && token.is_some_and(|token| token_manifest(token) == text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expired_token() -> String {
        let claims = serde_json::json!({ "exp": 1 });
        encode(&Header::default(), &claims, &EncodingKey::from_secret(b"k")).unwrap()
    }

    #[test]
    fn files_that_are_there_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        ensure(folder.path()).unwrap();
        let token = folder.path().join("jwt-token.yaml");
        let example = folder.path().join("myremotekey.yaml");
        let first = fs::read_to_string(&token).unwrap();
        fs::write(&example, "edited").unwrap();
        ensure(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&token).unwrap(), first);
        assert_eq!(fs::read_to_string(&example).unwrap(), "edited");
    }

    #[test]
    fn an_expired_token_is_made_anew_unless_somebody_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("jwt-token.yaml");
        let ours = token_manifest(&expired_token());
        fs::write(&token, &ours).unwrap();
        ensure(folder.path()).unwrap();
        assert_ne!(fs::read_to_string(&token).unwrap(), ours);
        let edited = format!("{ours}# mine\n");
        fs::write(&token, &edited).unwrap();
        ensure(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(&token).unwrap(), edited);
    }
}
