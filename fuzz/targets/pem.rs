//! The certificate's files: whatever they hold, they are read or refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vsecm_scout::server::certificate::Validity;
use vsecm_scout::server::pem;

fuzz_target!(|input: &[u8]| {
    let _ = pem::private_key(input);
    let _ = pem::chain(input);
    for certificate in pem::certificates(input).unwrap_or_default() {
        let _ = Validity::of(&certificate);
    }
    // Most mutations of PEM are no base64: the certificate itself, too.
    let _ = Validity::of(input);
});
