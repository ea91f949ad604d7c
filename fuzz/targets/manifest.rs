//! Files of manifests: whatever a file holds, it is read or refused, and names are names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vsecm_scout::secrets::{SecretName, manifest};

fuzz_target!(|text: &str| {
    let default = "default".parse().unwrap();
    for (name, _) in manifest::parse(text).unwrap_or_default() {
        assert_eq!(SecretName::parse(&name.to_string(), &default).as_ref(), Ok(&name));
    }
});
