//! What an unquoted scalar of YAML means to kubectl: YAML 1.1, as Go's `yaml.v2` resolves it.

use std::borrow::Cow;

/// A scalar without quotes and without a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Integer(i64),
    /// An integer beyond `i64`, which is no key of a JSON object for kubectl.
    Unsigned(u64),
    Float(f64),
    Text,
}

/// Resolves an unquoted scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Plain::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
            Plain::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
            Plain::Bool(false)
        }
        ".nan" | ".NaN" | ".NAN" => Plain::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Plain::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Plain::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or(Plain::Text),
    }
}

fn number(text: &str) -> Option<Plain> {
    match text.as_bytes().first()? {
        b'.' => {
            let separated = text.split('_').skip(1).all(begins_with_digit);
            let follows = text.split('_').rev().skip(1).all(ends_with_digit);
            (separated && follows).then(|| float(&text.replace('_', ""))).flatten()
        }
        b'0'..=b'9' | b'+' | b'-' => {
            let plain = text.replace('_', "");
            integer(&plain).or_else(|| float(&plain))
        }
        _ => None,
    }
}

fn begins_with_digit(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit)
}

fn ends_with_digit(text: &str) -> bool {
    text.as_bytes().last().is_some_and(u8::is_ascii_digit)
}

/// Decimal, or by a prefix: `0x`, `0b`, `0o`, and `0` for octal.
fn integer(text: &str) -> Option<Plain> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let prefix = digits.get(..2).unwrap_or_default();
    let (radix, digits) = match (prefix, digits.get(2..)) {
        ("0x" | "0X", Some(rest)) => (16, rest),
        ("0b" | "0B", Some(rest)) => (2, rest),
        ("0o" | "0O", Some(rest)) => (8, rest),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        // `0b-1` is a number all the same, and `0x-1` is none.
        let rest = text.strip_prefix("0b")?;
        return i64::from_str_radix(rest, 2).ok().map(Plain::Integer);
    }
    let signed = i64::from_str_radix(&format!("{sign}{digits}"), radix).map(Plain::Integer);
    let unsigned = || u64::from_str_radix(digits, radix).map(Plain::Unsigned);
    let plain = !text.starts_with(['+', '-']);
    signed.ok().or_else(|| plain.then(|| unsigned().ok()).flatten())
}

/// A decimal fraction. One that overflows is a text.
fn float(text: &str) -> Option<Plain> {
    let decimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let value: f64 = text.bytes().all(decimal).then(|| text.parse().ok()).flatten()?;
    value.is_finite().then_some(Plain::Float(value))
}

/// The key of a JSON object that kubectl makes of an unquoted key, if it makes one.
pub(super) fn key(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    Some(match resolve(&text) {
        Plain::Null | Plain::Unsigned(_) => return None,
        Plain::Bool(true) => "true".into(),
        Plain::Bool(false) => "false".into(),
        Plain::Integer(value) => value.to_string().into(),
        Plain::Float(value) => shortest(value).into(),
        Plain::Text => text,
    })
}

/// As Go's `strconv.FormatFloat(value, 'g', -1, 32)`: kubectl rounds such keys to 32 bits.
#[allow(clippy::cast_possible_truncation)] // as kubectl does
fn shortest(value: f64) -> String {
    let value = value as f32;
    if value.is_nan() {
        return ".nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or_default() {
        exponent if exponent < -4 => format!("{digits}e-{:02}", -exponent),
        exponent if exponent >= 6 => format!("{digits}e+{exponent:02}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unquoted_scalars_mean_what_yaml_1_1_says() {
        for (text, plain) in [
            ("", Plain::Null),
            ("~", Plain::Null),
            ("nUll", Plain::Text),
            ("y", Plain::Bool(true)),
            ("OFF", Plain::Bool(false)),
            ("nO", Plain::Text),
            ("8443", Plain::Integer(8443)),
            ("1_000", Plain::Integer(1000)),
            ("017", Plain::Integer(15)),
            ("0o17", Plain::Integer(15)),
            ("-0x1F", Plain::Integer(-31)),
            ("0b11", Plain::Integer(3)),
            ("0b-11", Plain::Integer(-3)),
            ("0x-1", Plain::Text),
            ("0x", Plain::Text),
            ("08", Plain::Float(8.0)),
            ("+-1", Plain::Text),
            ("18446744073709551615", Plain::Unsigned(u64::MAX)),
            ("+18446744073709551615", Plain::Float(18_446_744_073_709_551_615.0)),
            ("1.50", Plain::Float(1.5)),
            ("1.", Plain::Float(1.0)),
            (".5_0", Plain::Float(0.5)),
            ("._5", Plain::Text),
            (".5_", Plain::Text),
            (".", Plain::Text),
            ("1_.5", Plain::Float(1.5)),
            ("12e34567", Plain::Text),
            (".1e400", Plain::Text),
            ("0x1p4", Plain::Text),
            ("190:20:30", Plain::Text),
            ("2001-01-01", Plain::Text),
            ("-.INF", Plain::Float(f64::NEG_INFINITY)),
            ("infinity", Plain::Text),
            ("-", Plain::Text),
            ("+a", Plain::Text),
        ] {
            assert_eq!(resolve(text), plain, "{text:?}");
        }
    }

    #[test]
    fn unquoted_keys_become_the_texts_that_kubectl_makes_of_them() {
        for (text, name) in [
            ("on", Some("true")),
            ("n", Some("false")),
            ("0x10", Some("16")),
            ("1.50", Some("1.5")),
            ("1e3", Some("1000")),
            ("1e6", Some("1e+06")),
            ("1e-7", Some("1e-07")),
            ("123456789.5", Some("1.2345679e+08")),
            ("1e300", Some(".inf")),
            (".nan", Some(".nan")),
            ("2001-01-01", Some("2001-01-01")),
            ("~", None),
            ("18446744073709551615", None),
        ] {
            assert_eq!(key(text.into()).as_deref(), name, "{text:?}");
        }
    }
}
