//! Files of manifests: whatever a file holds, it is read or refused, and names are names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vsecm_scout::secrets::{SecretName, manifest};

fuzz_target!(|text: &[u8]| {
    let default = "default".parse().unwrap();
    for found in manifest::parse(text).unwrap_or_default() {
        let name = found.name;
        assert_eq!(SecretName::parse(&name.to_string(), &default).as_ref(), Ok(&name));
    }
});
