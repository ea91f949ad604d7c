//! The bearer and the stored token: whoever is let in sent what is stored, what is stored can be
//! sent, and what was known before changes nothing.
//!
//! The input is two lines: the `Authorization` header, and the stored text.

#![no_main]

use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use vsecm_scout::auth::{Bearer, StoredToken};
use vsecm_scout::secrets::SecretBytes;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (header, text) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let bearer = Bearer::parse([header].into_iter());
    if let Ok(bearer) = bearer {
        assert_eq!(bearer.as_str().split('.').filter(|part| !part.is_empty()).count(), 3);
    }

    let bytes = SecretBytes::from(text.to_vec());
    let Ok(stored) = StoredToken::parse(&bytes) else { return };
    let trimmed = text.trim_ascii_end();
    if let Ok(bearer) = bearer {
        assert_eq!(stored.equals(bearer), bearer.as_str().as_bytes() == trimmed);
    }
    let sent = [b"Bearer ", trimmed].concat();
    let sent = Bearer::parse([&sent[..]].into_iter()).expect("what is stored can be sent");
    assert!(stored.equals(sent));
    let other = SecretBytes::from([trimmed, b"x"].concat());
    for known in [Some(&stored), StoredToken::parse(&other).as_ref().ok()] {
        let known = known.map(StoredToken::to_known);
        let recalled = StoredToken::recall(&bytes, known.as_ref()).expect("it was parsed before");
        assert!(recalled.equals(sent) && recalled.subject() == stored.subject());
        assert_eq!(recalled.expiry(), stored.expiry());
    }
    for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let _ = stored.is_valid_at(now, SignedDuration::from_secs(30));
    }
});
