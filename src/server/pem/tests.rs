use super::*;

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
// In pieces, so that it is not taken for a key that somebody has committed.
const KEY: &str = concat!("-----BEGIN ", "PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
const PARAMETERS: &str = "-----BEGIN EC PARAMETERS-----\nAAAA\n-----END EC PARAMETERS-----\n";

fn block(label: &str) -> String {
    CERTIFICATE.replace("CERTIFICATE", label)
}

fn chain_of(text: impl AsRef<[u8]>) -> Result<Vec<usize>, PemError> {
    chain(text.as_ref()).map(|chain| chain.iter().map(|certificate| certificate.line).collect())
}

fn key_of(text: impl AsRef<[u8]>) -> Result<(), PemError> {
    private_key(text.as_ref()).map(drop)
}

#[test]
fn text_around_blocks_and_any_line_break_are_taken() {
    let two = format!("subject=CN=leaf\n{CERTIFICATE}\n  Issuer: CN = ca\n{CERTIFICATE}Bag: 1");
    assert_eq!(chain_of(&two), Ok(vec![2, 7]));
    assert_eq!(chain_of(two.replace('\n', "\r\n")), Ok(vec![2, 7]));
    assert_eq!(chain_of(CERTIFICATE.trim_end()), Ok(vec![1]), "no line break at the end");
    // One of the first Macs': there is no other line than the first.
    assert_eq!(chain_of(two.replace('\n', "\r")), Ok(vec![1, 1]));
    let pkcs1 = KEY.replace("PRIVATE", "RSA PRIVATE");
    let sec1 = KEY.replace("PRIVATE", "EC PRIVATE");
    let files =
        [KEY, &pkcs1, &format!("{PARAMETERS}{sec1}"), &format!("# mine\n{KEY}{PARAMETERS}")];
    for key in files {
        assert_eq!(key_of(key), Ok(()), "{key}");
        assert_eq!(key_of(key.replace('\n', "\r\n")), Ok(()), "{key}");
    }
}

#[test]
fn a_file_that_is_no_pem_text_is_named() {
    let utf16: Vec<u8> =
        format!("\u{feff}{KEY}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (file, error) in [
        (&b""[..], PemError::Empty),
        (format!("\u{feff}{KEY}").as_bytes(), PemError::ByteOrderMark),
        (&utf16, PemError::Utf16),
        (b"\x30\x82\x01\x00", PemError::Binary),
        (b"\x30\x2e\x02\x01\x00", PemError::Binary),
    ] {
        assert_eq!(chain_of(file).as_ref(), Err(&error));
        assert_eq!(key_of(file).as_ref(), Err(&error));
    }
    for text in ["0 is no DER", "\n", "MIIB", "-----"] {
        assert_eq!(chain_of(text), Err(PemError::Missing("certificate")));
        assert_eq!(key_of(text), Err(PemError::Missing("private key")));
    }
    assert_eq!(key_of(PARAMETERS), Err(PemError::Missing("private key")));
}

#[test]
fn no_block_is_passed_over() {
    let cut = CERTIFICATE.split_at(40).0;
    let damaged = CERTIFICATE.replace("AAAA", "A!AA");
    let second = CERTIFICATE.replace("-----BEGIN CERTIFICATE-----\n", "");
    for (text, error) in [
        (format!("{CERTIFICATE}{cut}"), PemError::NoEnd(4)),
        (format!("{cut}\n{CERTIFICATE}"), PemError::NoEnd(1)),
        (format!("{CERTIFICATE}{damaged}"), PemError::Malformed(4)),
        (CERTIFICATE.replace("END CERTIFICATE", "END PRIVATE KEY"), PemError::Malformed(1)),
        (format!("{CERTIFICATE}{second}"), PemError::NoBegin(5)),
        (format!("{second}{CERTIFICATE}"), PemError::NoBegin(2)),
        // Two files put together without a line break, one from YAML, one that was commented out,
        // one with a byte-order mark of its own.
        (format!("{}{CERTIFICATE}", CERTIFICATE.trim_end()), PemError::NotAtLineStart(3)),
        (format!("{CERTIFICATE}  {CERTIFICATE}"), PemError::NotAtLineStart(4)),
        (format!("{CERTIFICATE}#{CERTIFICATE}"), PemError::NotAtLineStart(4)),
        (format!("{CERTIFICATE}\u{feff}{CERTIFICATE}"), PemError::NotAtLineStart(4)),
    ] {
        assert_eq!(chain_of(&text), Err(error), "{text}");
    }
}

#[test]
fn a_block_that_does_not_belong_into_the_file_is_named() {
    let foreign = |outcome: Result<(), PemError>| match outcome {
        Err(PemError::Foreign { line, found, .. }) => (line, found),
        other => panic!("{other:?}"),
    };
    for (label, found) in [
        ("PRIVATE KEY", "a private key"),
        ("EC PRIVATE KEY", "a private key"),
        ("ENCRYPTED PRIVATE KEY", "an encrypted private key"),
        ("CERTIFICATE REQUEST", "a certificate request"),
        ("TRUSTED CERTIFICATE", "a certificate with OpenSSL's trust settings"),
        ("PKCS7", "a PKCS#7 bundle"),
        ("EC PARAMETERS", "parameters"),
        ("GARBAGE", "a block of an unknown kind"),
        ("", "a block of an unknown kind"),
    ] {
        let text = format!("{CERTIFICATE}{}", block(label));
        assert_eq!(foreign(chain_of(&text).map(drop)), (4, found), "{label}");
    }
    for (label, found) in [
        ("CERTIFICATE", "a certificate"),
        ("PUBLIC KEY", "a public key"),
        ("OPENSSH PRIVATE KEY", "a private key in the form of OpenSSH"),
        ("DSA PRIVATE KEY", "a DSA key"),
    ] {
        assert_eq!(foreign(key_of(format!("{KEY}{}", block(label)))), (4, found), "{label}");
        assert_eq!(foreign(key_of(block(label))), (1, found), "{label}");
    }
    assert_eq!(key_of(format!("{KEY}{KEY}")), Err(PemError::SecondKey(4)));
    assert_eq!(key_of(block("ENCRYPTED PRIVATE KEY")), Err(PemError::Encrypted(1)));
    let old =
        block("RSA PRIVATE KEY").replace("AAAA", "Proc-Type: 4,ENCRYPTED\nDEK-Info: x\n\nAAAA");
    assert_eq!(key_of(old), Err(PemError::Encrypted(1)));
}

#[test]
fn an_error_tells_nothing_that_stands_in_the_file() {
    for text in ["hunter2", &block("hunter2"), &CERTIFICATE.replace("AAAA", "hunter2!")] {
        for error in [chain_of(text).unwrap_err(), key_of(text).unwrap_err()] {
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
