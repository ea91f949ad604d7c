//! How values on the command line are read.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::policy::Label;

/// Where Secrets are read.
#[derive(Clone, Debug)]
pub enum Source {
    /// The API server of the cluster.
    Kubernetes,
    /// A folder of manifests.
    Manifests(PathBuf),
}

impl FromStr for Source {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once(':') {
            None if text == "kubernetes" => Ok(Self::Kubernetes),
            Some(("manifests", folder)) if !folder.is_empty() => Ok(Self::Manifests(folder.into())),
            _ => Err("it is 'kubernetes' or 'manifests:DIR'"),
        }
    }
}

/// The label that a Secret must carry; an empty text drops the demand.
#[derive(Clone, Debug)]
pub struct ServeLabel(pub Option<Label>);

impl FromStr for ServeLabel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(|label| Self(Some(label))) }
    }
}

/// A duration with its unit, such as `5s`, `1m30s` or `24h`.
pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let duration: SignedDuration =
        text.parse().map_err(|_| "it is a duration such as 5s, 1m30s or 24h")?;
    Duration::try_from(duration).map_err(|_| "a duration cannot be negative")
}

/// A duration above zero.
pub fn positive_duration(text: &str) -> Result<Duration, &'static str> {
    duration(text)
        .and_then(|value| if value.is_zero() { Err("it must be above 0") } else { Ok(value) })
}

/// A duration of at most a minute.
pub fn leeway(text: &str) -> Result<Duration, &'static str> {
    let leeway = duration(text)?;
    if leeway > Duration::from_secs(60) { Err("it is at most 60s") } else { Ok(leeway) }
}

/// The name of an entry of a Secret, by the rules of Kubernetes (`util/validation`,
/// `IsConfigMapKey`).
pub fn entry(text: &str) -> Result<String, &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let named = (1..=253).contains(&text.len()) && text.bytes().all(allowed);
    if named && !text.starts_with("..") && text != "." {
        Ok(text.to_owned())
    } else {
        Err("it is the name of a Secret's entry: letters, digits, '-', '_' and '.'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit_and_stay_within_bounds() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "5", "-5s", "5 parsecs", "s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(positive_duration("0s").is_err());
        assert_eq!(leeway("60s"), Ok(Duration::from_secs(60)));
        assert!(leeway("61s").is_err());
    }

    #[test]
    fn a_source_is_the_cluster_or_a_folder() {
        assert!(matches!("kubernetes".parse(), Ok(Source::Kubernetes)));
        assert!(
            matches!("manifests:a:b".parse(), Ok(Source::Manifests(dir)) if dir.as_os_str() == "a:b")
        );
        for bad in ["", "manifests", "manifests:", "kubernetes:x", "vault"] {
            assert!(bad.parse::<Source>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn entries_are_named_as_kubernetes_allows() {
        for good in ["token", ".dockerconfigjson", "a_b-C.1"] {
            assert!(entry(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "..a", "a/b", "a b"] {
            assert!(entry(bad).is_err(), "{bad:?}");
        }
    }
}
