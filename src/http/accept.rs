//! Which of two media types a client prefers, by its `Accept` (RFC 9110, sections 12.4.2 and
//! 12.5.1).

use mediatype::{MediaType, MediaTypeList, Name, ReadParams, Value};

/// A media type in which an answer can be had.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The part before the slash.
    pub kind: &'static str,
    /// The part behind it.
    pub subkind: &'static str,
    /// The parameters with which it may be asked for: their value, or `None` where any will do.
    pub parameters: &'static [(&'static str, Option<&'static str>)],
}

/// What the `Accept` of a request says about one offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rating {
    /// The weight in thousandths. 0 is "not acceptable".
    weight: u16,
    /// Whether the offer is named. Else a wildcard covers it, or nothing does.
    named: bool,
}

/// Whether a client prefers `special` to `usual`, by all lines of its `Accept`. It has to name
/// `special`: a wildcard is sent by clients that do not care. With equal weights it gets `special` if
/// a wildcard covers `usual`, and `usual` if it names both.
#[must_use]
pub fn prefers<'a>(lines: impl Iterator<Item = &'a str>, special: Offer, usual: Offer) -> bool {
    let ranges = ranges(lines);
    let (special, usual) = (rate(&ranges, special), rate(&ranges, usual));
    let outweighs = match usual.named {
        true => special.weight > usual.weight,
        false => special.weight >= usual.weight,
    };
    special.named && special.weight > 0 && outweighs
}

/// All media ranges and their weights. A malformed one is passed over.
fn ranges<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(MediaType<'a>, u16)> {
    let ranges = lines.flat_map(MediaTypeList::new).flatten();
    ranges.filter_map(|range| weight(&range).map(|weight| (range, weight))).collect()
}

/// The most specific media range that covers an offer has its weight. Of several that are equally
/// specific the lowest weight counts, so that a weight of 0 always refuses.
fn rate(ranges: &[(MediaType<'_>, u16)], offer: Offer) -> Rating {
    let covering =
        ranges.iter().filter_map(|(range, weight)| Some((offer.covered_by(range)?, *weight)));
    let best = covering.max_by_key(|(specificity, weight)| (*specificity, u16::MAX - weight));
    best.map_or_else(Rating::default, |(specificity, weight)| Rating {
        weight,
        named: specificity >= NAMED,
    })
}

/// The specificity of a media range without wildcards. Each parameter adds one.
const NAMED: usize = 2;

impl Offer {
    /// How specific a media range is, if it covers this.
    fn covered_by(self, range: &MediaType<'_>) -> Option<usize> {
        let specificity = match (range.ty, range.subty, range.suffix) {
            (_, _, Some(_)) => return None,
            (kind, subkind, _) if kind == self.kind && subkind == self.subkind => NAMED,
            (kind, any, _) if kind == self.kind && any == "*" => 1,
            (any, any_too, _) if any == "*" && any_too == "*" => 0,
            _ => return None,
        };
        let mut parameters = range.params().filter(is_not_weight);
        let has = |(name, value): (Name<'_>, Value<'_>)| {
            self.parameters.iter().any(|(own, expected)| {
                let fits = |own: &str| value.unquoted_str().eq_ignore_ascii_case(own);
                name == *own && expected.is_none_or(fits)
            })
        };
        parameters.all(has).then(|| specificity + range.params().filter(is_not_weight).count())
    }
}

fn is_not_weight((name, _): &(Name<'_>, Value<'_>)) -> bool {
    *name != "q"
}

/// The weight of a media range in thousandths, 1 where it has none. `None` where it is malformed.
fn weight(range: &MediaType<'_>) -> Option<u16> {
    let mut weights = range.params().filter(|parameter| !is_not_weight(parameter));
    let Some((_, weight)) = weights.next() else { return Some(1000) };
    if weights.next().is_some() {
        return None;
    }
    let (whole, fraction) = weight.as_str().split_once('.').unwrap_or((weight.as_str(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    match (whole, format!("{fraction:0<3}").parse::<u16>().ok()?) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: Offer = Offer {
        kind: "application",
        subkind: "json",
        parameters: &[("charset", Some("utf-8")), ("profile", None)],
    };
    const RAW: Offer = Offer { kind: "application", subkind: "octet-stream", parameters: &[] };

    fn raw(lines: &[&str]) -> bool {
        prefers(lines.iter().copied(), RAW, JSON)
    }

    fn json(line: &str) -> u16 {
        rate(&ranges([line].into_iter()), JSON).weight
    }

    #[test]
    fn the_special_type_is_preferred_where_it_is_named_and_outweighs_the_usual_one() {
        for (lines, preferred) in [
            (&["application/octet-stream"][..], true),
            (&["Application/Octet-Stream;q=0.001"], true),
            (&["text/html", "a/b, application/octet-stream ; Q=1.000"], true),
            (&["application/octet-stream, */*"], true),
            (&["application/octet-stream, application/*, */*"], true),
            (&["*/*;q=0.8", "application/octet-stream"], true),
            (&["application/octet-stream;q=0.5, application/json;q=0.499"], true),
            (&["application/json;q=0", "application/octet-stream;q=0.1"], true),
            (&["application/octet-stream;q=0.1, application/json;version=2"], true),
            (&["application/octet-stream;q=0.1, application/json+x"], true),
            // The usual one outweighs it, or both are named alike.
            (&["application/octet-stream, application/json"], false),
            (&["application/octet-stream;q=0.5, application/json"], false),
            (&["application/octet-stream;q=0.5", "*/*"], false),
            (&["application/octet-stream;q=0.5, application/*;q=0.6, */*;q=0"], false),
            (&["application/octet-stream;q=0.5, application/json;charset=UTF-8;q=0.6"], false),
            // It is refused, or not named.
            (&["application/octet-stream;q=0"], false),
            (&["application/octet-stream;q=0.000, */*;q=0"], false),
            (&["application/octet-stream", "application/octet-stream;q=0"], false),
            (&["application/octet-stream;q=0", "application/octet-stream"], false),
            (&["application/*", "*/*"], false),
            (&["application/*, application/json;q=0"], false),
            (&["application/octet-stream;v=1"], false),
            (&["x/y;a=\"application/octet-stream, application/octet-stream\""], false),
            (&["application/xml"], false),
            (&["", ",", " , ,"], false),
            (&[], false),
        ] {
            assert_eq!(raw(lines), preferred, "{lines:?}");
        }
    }

    #[test]
    fn a_malformed_range_is_passed_over_and_the_others_count() {
        for weight in [
            "x", "", ".5", "1.5", "1.001", "0.0001", "-1", "+1", "2", "01", "1e0", "\"1\"", " 1",
            "1 1", "0.5.5", "1;q=1", "0.٣",
        ] {
            let range = format!("application/octet-stream;q={weight}");
            assert!(!raw(&[&range]), "{range}");
            assert!(raw(&[&range, "application/octet-stream"]), "{range}");
        }
        for garbage in ["octet-stream", "/", "a/", "/b", "a b/c", "\"", "a/b;", "a/b;c", "a/b;\"c"]
        {
            assert!(raw(&[garbage, "application/octet-stream"]), "{garbage}");
            assert!(raw(&[&format!("application/octet-stream, {garbage}")]), "{garbage}");
        }
    }

    #[test]
    fn the_most_specific_range_counts_whatever_the_order() {
        for (line, weight) in [
            ("application/json;q=0.3, application/*;q=0.6, */*;q=0.9", 300),
            ("*/*;q=0.9, application/*;q=0.6, application/json;q=0.3", 300),
            ("application/*;q=0.6, */*;q=0.9", 600),
            ("application/json;q=0.3, application/json;charset=utf-8;q=0.7", 700),
            ("application/json;charset=\"UTF-8\";profile=x;q=0.7, application/json", 700),
            ("application/json;q=0.7;charset=utf-8, application/json", 700),
            ("application/json;charset=latin1, application/json;q=0.2", 200),
            ("*/*", 1000),
            ("*/json", 0),
            ("text/*", 0),
        ] {
            assert_eq!(json(line), weight, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_has_weight_0_is_never_preferred(
            before in "[ -~]{0,40}|application/octet-stream(;q=0\\.[0-9]{1,3})?",
            after in "[ -~]{0,40}|application/octet-stream(;q=0\\.[0-9]{1,3})?",
        ) {
            // In a line of its own, since a quotation mark could hide what follows it.
            prop_assert!(!raw(&[&before, "application/octet-stream;q=0", &after]));
        }

        #[test]
        fn the_order_of_ranges_and_their_lines_says_nothing(
            ranges in prop::collection::vec(
                ("application/json|application/octet-stream|application/\\*|\\*/\\*", 0_u16..=10),
                0..6,
            ),
            shuffled in any::<prop::sample::Index>(),
        ) {
            let ranges: Vec<String> = ranges
                .iter()
                .map(|(range, tenths)| format!("{range};q={}.{}", tenths / 10, tenths % 10))
                .collect();
            let lines: Vec<&str> = ranges.iter().map(String::as_str).collect();
            let mut turned = lines.clone();
            if !turned.is_empty() {
                turned.rotate_left(shuffled.index(lines.len()));
            }
            prop_assert_eq!(raw(&lines), raw(&turned));
            prop_assert_eq!(raw(&lines), raw(&[&lines.join(", ")]));
            let ranges = super::ranges(lines.iter().copied());
            if raw(&lines) {
                let weight = rate(&ranges, RAW).weight;
                prop_assert!(weight > 0 && weight >= rate(&ranges, JSON).weight);
            }
        }
    }
}
