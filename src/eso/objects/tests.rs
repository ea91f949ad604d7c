use serde_json::json;

use super::*;

#[test]
fn stores_of_other_providers_are_passed_over() {
    let store = json!({ "metadata": { "name": "v" }, "spec": { "provider": { "vault": {} } } });
    assert!(Store::parse(&store).is_none());
}

#[test]
fn references_of_a_cluster_store_need_a_namespace_and_others_have_one() {
    let store = |namespace: Option<&str>| Store {
        id: StoreId { namespace: namespace.map(str::to_owned), name: "s".to_owned() },
        webhook: Webhook::default(),
        ready: None,
        versions: Vec::new(),
    };
    let resolve = |own, given| store(own).resolve("t", given).map(|name| name.to_string());
    assert_eq!(resolve(None, Some("a")).as_deref(), Ok("a/t"));
    assert_eq!(resolve(None, None), Err(BadReference::NoNamespace));
    assert_eq!(resolve(Some("b"), Some("a")).as_deref(), Ok("b/t"));
    assert_eq!(resolve(Some("b"), None).as_deref(), Ok("b/t"));
    assert_eq!(resolve(None, Some("A")), Err(BadReference::NoName));
}

#[test]
fn an_external_secret_asks_by_data_extract_and_find() {
    let object = json!({
        "metadata": { "namespace": "ns", "name": "es" },
        "spec": {
            "secretStoreRef": { "name": "a" },
            "data": [{ "remoteRef": { "key": "k", "property": "p" } }],
            "dataFrom": [
                { "extract": { "key": "x" },
                  "sourceRef": { "storeRef": { "name": "b", "kind": "ClusterSecretStore" } } },
                { "find": { "name": {} } },
                { "sourceRef": { "generatorRef": { "name": "g" } } },
            ],
        },
        "status": { "conditions": [
            { "type": "Ready", "status": "False", "reason": "SecretSyncedError",
              "lastTransitionTime": "2026-01-01T00:00:00Z" },
        ] },
    });
    let external = ExternalSecret::parse(&object).unwrap();
    let reason = "SecretSyncedError".to_owned();
    let since = Some("2026-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(external.ready, Some(Ready { is_ready: false, reason, since }));
    let wants = external.wants.iter();
    let wants: Vec<_> =
        wants.map(|want| (want.place.as_str(), want.store.to_string(), want.how)).collect();
    assert_eq!(
        wants,
        [
            ("data[0]", "SecretStore ns/a".to_owned(), How::Data),
            ("dataFrom[0]", "ClusterSecretStore b".to_owned(), How::Extract),
            ("dataFrom[1]", "SecretStore ns/a".to_owned(), How::Find),
        ]
    );
}
