//! The token Secret (pure).

use jiff::{SignedDuration, Timestamp};

use crate::auth::{
    PREVIOUS_ENTRY, PREVIOUS_UNTIL, PreviousIgnored, StoredToken, StoredTokenError, TokenRules,
};
use crate::doctor::report::Check;
use crate::problem::Problem;
use crate::secrets::{Read, ReadError, Secret, SecretName};

/// The label without which ESO's webhook provider does not read a Secret.
pub const ESO_LABEL: (&str, &str) = ("external-secrets.io/type", "webhook");

/// Below this part of its life a token should be rotated.
const LITTLE_LEFT: f64 = 0.2;
/// Likewise, where it does not say when its life began.
const SOON: f64 = 7.0 * 24.0 * 3600.0;

/// What to do about a time in milliseconds.
const IN_SECONDS: &str = "Issue it anew, with its times in seconds since 1970";

/// Looks at the token Secret. `eso_reads_it`: ESO may be in the same cluster.
pub fn checks(
    name: &SecretName,
    rules: &TokenRules,
    read: &Read,
    now: Timestamp,
    eso_reads_it: bool,
) -> Vec<Check> {
    let subject = format!("token Secret {name}");
    let secret = match read {
        Ok(secret) => secret,
        Err(error) => return vec![unread(&subject, name, error)],
    };
    let mut checks = vec![Check::ok("token-secret", &subject, "it is there")];
    checks.extend(of_token(&subject, rules, secret, now));
    if eso_reads_it {
        checks.push(label("token-eso-label", &subject, name, secret));
    }
    checks.push(previous(&subject, rules, secret, now));
    checks
}

fn unread(subject: &str, name: &SecretName, error: &ReadError) -> Check {
    match error {
        ReadError::Forbidden => {
            Check::unknown("token-secret", subject, "not checked: RBAC does not let you read it")
        }
        ReadError::NotFound => Check::fault(
            "token-secret",
            subject,
            "it does not exist, so that every request is a 500 token-secret-missing",
            format!("Create it, or name the right one with --token-secret (this is {name})"),
        ),
        other => Check::fault(
            "token-secret",
            subject,
            other.to_string(),
            format!("See {}", Problem::of_value(other.clone()).code.explained_at()),
        ),
    }
}

/// The entry and the token in it.
fn of_token(subject: &str, rules: &TokenRules, secret: &Secret, now: Timestamp) -> Vec<Check> {
    let entry = &rules.entry;
    let Some(bytes) = secret.entries.get(entry) else {
        return vec![Check::fault(
            "token-entry",
            subject,
            format!("it has no entry {entry}"),
            "Store the JWT there, or name its entry with --token-entry",
        )];
    };
    let mut checks = vec![Check::ok("token-entry", subject, format!("it has the entry {entry}"))];
    match StoredToken::parse(bytes) {
        Err(error) => checks.push(Check::fault(
            "token-jwt",
            subject,
            format!("the entry {entry} matches no bearer: {error}"),
            of_stored(error),
        )),
        Ok(token) => {
            checks.push(Check::ok("token-jwt", subject, "it holds a JWT"));
            checks.push(expiry(subject, rules, &token, now));
        }
    }
    checks.push(if bytes.trimmed_end().len() == bytes.len() {
        Check::ok("token-white-space", subject, "the token ends without white space")
    } else {
        Check::fault(
            "token-white-space",
            subject,
            "the token ends in white space, which ESO refuses to send in a header",
            "Store it without (printf, not echo), or add | trim to the header of every store",
        )
    });
    checks
}

fn expiry(subject: &str, rules: &TokenRules, token: &StoredToken<'_>, now: Timestamp) -> Check {
    const NAME: &str = "token-expiry";
    let rotate = "Rotate it: docs/rotation.md";
    if let Err(lapsed) = rules.is_valid_at(token, now) {
        return match token.out_of_range() {
            Some(odd) => Check::fault(NAME, subject, format!("{lapsed}: {odd}"), IN_SECONDS),
            None => Check::fault(NAME, subject, lapsed.to_string(), rotate),
        };
    }
    if let Some(odd) = token.out_of_range() {
        return Check::fault(NAME, subject, format!("the token is valid, but {odd}"), IN_SECONDS);
    }
    let Some(expiry) = token.expiry() else {
        return Check::ok(NAME, subject, "the token has no exp: it is valid until it is replaced");
    };
    let left = expiry - now.as_duration().as_secs_f64();
    let until = instant(expiry);
    let Some(start) = token.not_before().filter(|start| *start < expiry) else {
        return match left < SOON {
            true => Check::fault(NAME, subject, format!("the token expires at {until}"), rotate),
            false => Check::ok(NAME, subject, format!("the token is valid until {until}")),
        };
    };
    let part = (left / (expiry - start)).clamp(0.0, 1.0);
    let finding = format!(
        "the token is valid until {until}; {:.0} % of its life of {} are left",
        part * 100.0,
        span(expiry - start)
    );
    if part < LITTLE_LEFT {
        Check::fault(NAME, subject, finding, rotate)
    } else {
        Check::ok(NAME, subject, finding)
    }
}

/// The label without which ESO refuses to read a Secret.
pub fn label(check: &'static str, subject: &str, name: &SecretName, secret: &Secret) -> Check {
    let (key, value) = ESO_LABEL;
    if secret.labels.get(key).is_some_and(|found| found == value) {
        return Check::ok(check, subject, format!("it has ESO's label {key}: {value}"));
    }
    Check::fault(
        check,
        subject,
        format!("it lacks the label {key}: {value}, without which ESO refuses to use it"),
        format!(
            "kubectl label secret -n {} {} {key}={value} --overwrite",
            name.namespace,
            name.name()
        ),
    )
}

fn previous(subject: &str, rules: &TokenRules, secret: &Secret, now: Timestamp) -> Check {
    const NAME: &str = "token-previous";
    match rules.tokens(secret, now, None).map(|tokens| tokens.previous) {
        Ok(Some(Err(ignored))) => Check::fault(
            NAME,
            subject,
            format!("the previous token matches nothing: {ignored}"),
            remedy(ignored),
        ),
        Ok(Some(Ok(previous))) => match rules.is_valid_at(&previous.token, now) {
            Ok(()) => {
                let until = previous.until;
                Check::ok(NAME, subject, format!("the previous token counts until {until}"))
            }
            Err(lapsed) => Check::fault(
                NAME,
                subject,
                format!("the previous token is not accepted: {lapsed}"),
                format!("Remove {PREVIOUS_ENTRY} and the annotation"),
            ),
        },
        Ok(None) => Check::ok(NAME, subject, "there is no previous token"),
        Err(_) => Check::unknown(NAME, subject, "not checked: the current token cannot be used"),
    }
}

fn of_stored(error: StoredTokenError) -> &'static str {
    match error {
        StoredTokenError::Empty => "Store the JWT there",
        StoredTokenError::NotJwt => {
            "Store a JWT: three parts in base64url with dots between, without quotes, a line break or \
             a byte-order mark"
        }
        StoredTokenError::AlgNone => "Store a signed JWT: anybody could have made this one",
        StoredTokenError::BadClaim { .. } => {
            "Issue the JWT anew: each claim once, its times in seconds since 1970"
        }
    }
}

fn remedy(ignored: PreviousIgnored) -> String {
    match ignored {
        PreviousIgnored::Over => format!("Remove {PREVIOUS_ENTRY} and the annotation"),
        PreviousIgnored::Unusable(error) => {
            format!("Remove {PREVIOUS_ENTRY}, or correct it. {}", of_stored(error))
        }
        _ => format!(
            "Set the annotation {PREVIOUS_UNTIL} to an instant within --max-overlap, such as \
             2026-01-31T12:00:00Z, or remove {PREVIOUS_ENTRY}"
        ),
    }
}

/// An instant in RFC 3339, to the second.
fn instant(seconds: f64) -> String {
    // A cast from a float saturates.
    let at = Timestamp::from_second(seconds as i64);
    at.map_or_else(|_| "a time that is out of range".to_owned(), |at| at.to_string())
}

/// A length of time in its largest whole unit.
fn span(seconds: f64) -> String {
    let duration = SignedDuration::from_secs(seconds as i64);
    match (duration.as_hours() / 24, duration.as_hours(), duration.as_mins()) {
        (days, ..) if days >= 2 => format!("{days} days"),
        (_, hours, _) if hours >= 2 => format!("{hours} hours"),
        (.., minutes) => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::super::testing::{NOW, faults, jwt, name, outcome, read, rules, secret};
    use super::*;
    use crate::doctor::report::Status;

    const DAY: i64 = 24 * 3600;

    fn look(secret: Secret) -> Vec<Check> {
        let now = Timestamp::from_second(NOW).unwrap();
        checks(&name("default/jwt-token"), &rules(), &read(secret), now, true)
    }

    fn with_token(text: &str) -> Vec<Check> {
        look(secret(&[("token", text)]))
    }

    #[test]
    fn a_good_token_secret_has_no_fault() {
        let checks = with_token(&jwt(&json!({ "iat": NOW - DAY, "exp": NOW + 9 * DAY })));
        assert_eq!(faults(&checks), Vec::<&str>::new());
        let (status, finding) = outcome(&checks, "token-expiry");
        assert_eq!(status, Status::Ok);
        assert!(finding.ends_with("90 % of its life of 10 days are left"), "{finding}");
    }

    #[test]
    fn each_fault_is_found_and_no_other_is_told_with_it() {
        let good = jwt(&json!({ "exp": NOW + DAY, "iat": NOW }));
        let token = |claims| with_token(&jwt(&claims));
        for (checks, fault) in [
            (look(secret(&[])), "token-entry"),
            (with_token(""), "token-jwt"),
            (with_token("opaque"), "token-jwt"),
            (token(json!({ "exp": "soon" })), "token-jwt"),
            (with_token(&format!("{good}\n")), "token-white-space"),
            (token(json!({ "exp": NOW - 60 })), "token-expiry"),
            (token(json!({ "exp": NOW * 1000 })), "token-expiry"),
            (token(json!({ "exp": NOW + 9 * DAY, "iat": NOW * 1000 })), "token-expiry"),
            (token(json!({ "nbf": NOW * 1000 })), "token-expiry"),
            (token(json!({ "nbf": NOW + 60, "exp": NOW + DAY })), "token-expiry"),
            (token(json!({ "iat": NOW - 9 * DAY, "exp": NOW + DAY })), "token-expiry"),
            (token(json!({ "exp": NOW + 6 * DAY })), "token-expiry"),
        ] {
            assert_eq!(faults(&checks), [fault]);
        }
        let mut unlabelled = secret(&[("token", &good)]);
        unlabelled.labels.clear();
        assert_eq!(faults(&look(unlabelled)), ["token-eso-label"]);
    }

    #[test]
    fn a_claim_that_is_wrong_is_named_with_what_is_wrong_with_it() {
        for (claims, check, says) in [
            (r#"{"exp":1767225600000}"#, "token-expiry", "exp is out of range; is it in millisec"),
            (r#"{"nbf":1767225600000}"#, "token-expiry", "nbf is out of range; is it in millisec"),
            (r#"{"exp":1e300}"#, "token-expiry", "its exp is out of range"),
            (r#"{"exp":1e400}"#, "token-jwt", "its exp is out of range"),
            (r#"{"exp":9e9,"exp":1}"#, "token-jwt", "its exp is there twice"),
            (r#"{"sub":"a","sub":"a"}"#, "token-jwt", "its sub is there twice"),
            (r#"{"nbf":"1"}"#, "token-jwt", "its nbf is not a number"),
        ] {
            let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let token = format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part(claims));
            let checks = with_token(&token);
            let (status, finding) = outcome(&checks, check);
            assert_eq!(status, Status::Fault, "{claims}");
            assert!(finding.contains(says), "{claims}: {finding}");
        }
    }

    #[test]
    fn a_token_that_never_expires_and_one_without_a_start_are_judged_too() {
        for claims in [json!({}), json!({ "exp": NOW + 8 * DAY })] {
            assert_eq!(faults(&with_token(&jwt(&claims))), Vec::<&str>::new(), "{claims}");
        }
    }

    #[test]
    fn a_forgotten_previous_token_is_found() {
        let (good, expired) = (jwt(&json!({})), jwt(&json!({ "exp": 1 })));
        for (previous, until, status) in [
            (&good, None, Status::Fault),
            (&good, Some("2025-12-31T23:00:00Z"), Status::Fault),
            (&good, Some("2026-01-03T00:00:00Z"), Status::Fault),
            (&good, Some("2026-01-01T01:00:00Z"), Status::Ok),
            (&expired, Some("2026-01-01T01:00:00Z"), Status::Fault),
        ] {
            let mut secret = secret(&[("token", &good), (PREVIOUS_ENTRY, previous)]);
            secret.annotations =
                until.map(|until| (PREVIOUS_UNTIL.to_owned(), until.into())).into_iter().collect();
            assert_eq!(outcome(&look(secret), "token-previous").0, status, "{until:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_and_not_taken_for_a_fault() {
        let now = Timestamp::from_second(NOW).unwrap();
        let of = |error| checks(&name("a/b"), &rules(), &Err(error), now, true);
        assert_eq!(outcome(&of(ReadError::Forbidden), "token-secret").0, Status::Unknown);
        assert_eq!(outcome(&of(ReadError::NotFound), "token-secret").0, Status::Fault);
        assert_eq!(of(ReadError::NotFound).len(), 1);
    }
}
