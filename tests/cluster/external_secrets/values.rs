//! Values arrive as they are: to the byte, or not at all and with a reason.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::stage::{Stage, edited};
use crate::harness::{self, trial};
use crate::scout::readme;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::json_arrives_as_it_is_written", json_values),
        trial("external_secrets::half_a_megabyte_arrives", half_a_megabyte),
        trial("external_secrets::bytes_arrive_as_base64", bytes_as_base64),
        trial("external_secrets::bytes_are_refused_with_a_reason", bytes_refused),
    ]
}

/// A JSON document, and what is expected of each of its keys.
const DOCUMENT: &str = r#"{
  "fraction": 1.5, "big": 123456789012345678901, "exponent": 1e3, "zeros": 1.50,
  "yes": true, "nothing": null, "text": "1 < 2 & \"so on\"",
  "object": {"url": "https://a/?b&c<d>", "id": 123456789012345678901, "a": 1.50},
  "list": [1.5, {"b": 2}, "three"], "embedded": "{\"deep\": [10, 20]}"
}"#;
const EXPECTED: [(&str, &str); 12] = [
    ("fraction", "1.5"),
    ("big", "123456789012345678901"),
    ("exponent", "1e3"),
    ("zeros", "1.50"),
    ("yes", "true"),
    ("nothing", ""),
    ("text", "1 < 2 & \"so on\""),
    ("object", r#"{"url": "https://a/?b&c<d>", "id": 123456789012345678901, "a": 1.50}"#),
    ("object.id", "123456789012345678901"),
    ("list", r#"[1.5, {"b": 2}, "three"]"#),
    ("list.2", "three"),
    ("embedded.deep.1", "20"),
];

fn data(secret_key: &str, key: &str, property: &str) -> Value {
    json!({ "secretKey": secret_key, "remoteRef": { "key": key, "property": property } })
}

async fn json_values() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "values").await?;
    stage.apply(readme("store")?).await?;
    stage.serve("values", &[("document", DOCUMENT.as_bytes())]).await?;
    let of = |(path, _): &(&str, &str)| data(path, "values", &format!("document.{path}"));
    let spec = json!({ "data": EXPECTED.iter().map(of).collect::<Vec<_>>() });
    stage.external_secret("values", spec).await?;
    let secret = stage.filled("values", "values").await?;
    for (path, expected) in EXPECTED {
        let value = secret.text(path)?;
        ensure!(value == expected, "{path}: {value} instead of {expected}");
    }
    Ok(())
}

async fn half_a_megabyte() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "large").await?;
    stage.apply(readme("store")?).await?;
    let value: Vec<u8> = (b' '..=b'~').cycle().take(500 * 1024).collect();
    stage.serve("large", &[("value", &value)]).await?;
    stage.external_secret("large", json!({ "data": [data("value", "large", "value")] })).await?;
    ensure!(stage.filled("large", "large").await?.bytes("value")? == value);
    Ok(())
}

/// No text in any encoding that the service knows.
const BYTES: [u8; 8] = [0, 0xff, 0xfe, 0x80, b'a', b'\n', 0xc3, 0x28];

async fn bytes_as_base64() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "base64").await?;
    let key = "key={{ .remoteRef.key }}";
    stage.apply(&edited(readme("store")?, key, &format!("encoding=base64&{key}"))?).await?;
    stage.serve("bytes", &[("keystore", &BYTES), ("readme.txt", "grüezi".as_bytes())]).await?;
    let one = json!({ "key": "bytes", "property": "keystore", "decodingStrategy": "Base64" });
    let one = json!({ "secretKey": "keystore", "remoteRef": one });
    stage.external_secret("one", json!({ "data": [one] })).await?;
    let all = json!({ "extract": { "key": "bytes", "decodingStrategy": "Base64" } });
    stage.external_secret("all", json!({ "dataFrom": [all] })).await?;

    ensure!(stage.filled("one", "one").await?.bytes("keystore")? == BYTES);
    let all = stage.filled("all", "all").await?;
    ensure!(all.bytes("keystore")? == BYTES && all.text("readme.txt")? == "grüezi");
    Ok(())
}

async fn bytes_refused() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "refused").await?;
    stage.apply(readme("store")?).await?;
    stage.serve("bytes", &[("keystore", &BYTES)]).await?;
    let spec = json!({ "data": [data("keystore", "bytes", "keystore")] });
    stage.external_secret("refused", spec).await?;
    stage.told("refused", "endpoint gave error 422 not-text").await?;
    ensure!(stage.target("refused").await?.is_none());
    Ok(())
}
