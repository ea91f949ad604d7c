//! What a person sees where a refresh fails: the service's own reason, in the ExternalSecret's
//! events.

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use serde_json::json;

use super::stage::{Stage, edited};
use crate::harness::{self, ControlPlane, Options, Parts, trial};
use crate::scout::readme;
use crate::support::token::token;

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        trial("external_secrets::events_tell_the_reason_of_each_status", each_status),
        trial("external_secrets::events_tell_what_is_wrong_with_a_token", wrong_tokens),
    ]
}

/// ExternalSecrets that cannot be filled, with the key and property that they ask for.
const FAILING: [(&str, &str, &str, &str); 4] = [
    ("invalid", "Not_A_Name", "password", "400 invalid-key"),
    ("unlabelled", "private", "password", "403 not-labelled"),
    ("mistyped", "myremotekey", "pasword", "422 no-such-entry"),
    ("forbidden", "forbidden", "password", "500 rbac-forbidden"),
];

async fn each_status() -> Result<()> {
    let mut served = ControlPlane::start(&Parts::find()?, Options::default()).await?;
    let stage = Stage::apart(&served, &*harness::shared().await?, "failures").await?;
    let allowed = "verbs: [\"get\"]\n    resourceNames: [jwt-token, myremotekey, private]";
    let role = edited(&stage.site.fitted("role")?, "verbs: [\"get\"]", allowed)?;
    stage.served.apply(&role).await?;
    stage.served.run(&["create", "secret", "generic", "private"]).await?;
    stage.apply(readme("store")?).await?;

    stage.apply(readme("external-secret")?).await?;
    stage.filled("example-external-secret", "example-secret").await?;
    for (name, key, property, _) in FAILING {
        let data = json!({ "secretKey": "a", "remoteRef": { "key": key, "property": property } });
        stage.external_secret(name, json!({ "data": [data] })).await?;
    }
    for (name, _, _, reason) in FAILING {
        is_shown(&stage, name, reason).await?;
    }
    served.kill()?;
    stage.refresh("example-external-secret").await?;
    is_shown(&stage, "example-external-secret", "503 api-unavailable").await
}

async fn wrong_tokens() -> Result<()> {
    let stage = Stage::new(&*harness::shared().await?, "tokens").await?;
    let stale = edited(readme("token-secret")?, "YOUR-JWT", &token(r#"{"sub":"stale"}"#))?;
    stage.apply(&edited(&stale, "name: jwt-token", "name: stale-token")?).await?;
    let template = "{{ .jwt.token | trim }}";
    let store = readme("store")?;
    let stores = [
        ("stale", edited(store, "name: jwt-token", "name: stale-token")?, "401 token-mismatch"),
        ("mistyped", edited(store, template, "{{ .jwt.tokn }}")?, "401 token-not-rendered"),
        // ESO itself stops here.
        (
            "trimmed",
            edited(store, ".jwt.token", ".jwt.tokn")?,
            "failed to parse header Authorization",
        ),
    ];
    for (name, store, _) in &stores {
        let own_name = format!("{}-{name}", stage.namespace);
        stage.apply(&edited(store, "name: vsecm-scout\n", &format!("name: {own_name}\n"))?).await?;
        let store = json!({ "kind": "ClusterSecretStore", "name": own_name });
        let data = json!([{ "secretKey": "a", "remoteRef": { "key": "myremotekey" } }]);
        stage.external_secret(name, json!({ "secretStoreRef": store, "data": data })).await?;
    }
    for (name, _, reason) in &stores {
        is_shown(&stage, name, reason).await?;
    }
    Ok(())
}

/// Waits for the reason, and looks at it with the commands that a person would use.
async fn is_shown(stage: &Stage, external_secret: &str, reason: &str) -> Result<()> {
    stage.told(external_secret, reason).await?;
    let resource = format!("externalsecret/{external_secret}");
    let events = stage.kubectl.run(&["events", "--for", &resource]).await?;
    let description = stage.kubectl.run(&["describe", &resource]).await?;
    for shown in [events, description] {
        ensure!(shown.contains("Warning") && shown.contains(reason), "{shown}");
    }
    let not_ready = ["wait", "--for=condition=Ready=False", "--timeout=90s", &resource];
    stage.kubectl.run(&not_ready).await?;
    Ok(())
}
