//! The grammar of the query string: what is accepted can be written anew, plainly and nested, and
//! is read as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use vsecm_scout::query::{Encoding, Query};

fuzz_target!(|raw: &str| {
    let default = "default".parse().unwrap();
    let Ok(query) = Query::parse(raw, &default) else { return };
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let property = query.property.as_deref().unwrap_or_default();
    let name = query.secret.to_string();
    let encoding = if query.encoding == Encoding::Base64 { "base64" } else { "" };

    let plain = format!("key={}&property={}", encode(&name), encode(property));
    let nested =
        format!("key={}", encode(&format!("key={}&path={}", encode(&name), encode(property))));
    for form in [plain, nested] {
        let again = Query::parse(&format!("{form}&encoding={encoding}&version="), &default);
        assert_eq!(again.as_ref(), Ok(&query), "{form}");
    }
});
