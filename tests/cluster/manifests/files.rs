//! Whole files of manifests, and those that a folder reads otherwise than kubectl on purpose. `NAME`
//! stands for a name that no other manifest has.

/// A Secret of JSON, and an item of a list of them.
const JSON: &str =
    r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"NAME"},"stringData":{"k":"v"}}"#;
const JSON_B: &str =
    r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"NAME-b"},"stringData":{"k":"v"}}"#;
const ITEM: &str = r#"{"metadata":{"name":"NAME"},"data":{"k":"dg=="}}"#;
const YAML: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME}\n";
const YAML_B: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: NAME-b}\n";

/// Whole files.
pub(super) fn files() -> Vec<String> {
    let list = |kind: &str, rest: &str, items: &str| {
        format!(r#"{{"kind":"{kind}","apiVersion":"v1"{rest},"items":[{items}]}}"#)
    };
    let object = |version: &str, kind: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: NAME}}\n")
    };
    let named = |name: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\n");
    let entry = |length: usize| format!("{YAML}stringData: {{{}: v}}\n", "a".repeat(length));
    let large = |length: usize| format!("{YAML}stringData: {{k: {}}}\n", "a".repeat(length));
    let annotated = |length: usize| {
        let value = "a".repeat(length);
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: NAME, annotations: {{a: {value}}}}}\n"
        )
    };
    let mut files = vec![
        // JSON.
        JSON.to_owned(),
        format!("{JSON}{JSON_B}"),
        format!("{JSON}\n{JSON_B}\n"),
        format!("{JSON}\n---\n{JSON_B}\n"),
        format!("{JSON}\n---\n{YAML_B}"),
        format!("{JSON}{JSON_B}\n---\n{YAML}"),
        format!("{JSON}\n# c\n"),
        format!("{JSON} null"),
        format!("{JSON} 5"),
        format!("{JSON} x"),
        format!("{JSON},"),
        format!("[{JSON}]"),
        format!("\u{feff}{JSON}"),
        JSON.replace(',', ",\n\t").replace(':', "\t: "),
        JSON.replace(r#""v"}"#, r#""\ud83d\ude00\/\u00e9\u0000"}"#),
        JSON.replace(r#""v"}"#, "\"a\u{2028}b\u{85}c\"}"),
        JSON.replace(r#""v"}"#, "5}"),
        JSON.replace(r#""v"}"#, "1e400}"),
        JSON.replace(r#""v"}"#, "null}"),
        JSON.replace(r#""v"}"#, "y}"),
        JSON.replace('"', ""),
        JSON.replace(r#""name""#, r#""Name""#),
        // Lists.
        list("List", "", JSON),
        list("List", "", &format!("{JSON},{JSON_B}")),
        list("List", "", ITEM),
        list("List", "", ""),
        list("List", r#","metadata":5"#, JSON),
        list("List", r#","metadata":{"resourceVersion":""}"#, JSON),
        list("List", "", &list("List", "", JSON)),
        list("SecretList", "", ITEM),
        list("SecretList", r#","metadata":{"resourceVersion":"5","selfLink":"x"}"#, ITEM),
        list("SecretList", "", JSON),
        list("SecretList", r#","bar":1"#, ITEM),
        list("SecretList", "", "null"),
        list("SecretList", "", "5"),
        list("SecretList", "", &ITEM.replacen('{', r#"{"kind":"Secret","#, 1)),
        list("SecretList", "", &ITEM.replacen('{', r#"{"apiVersion":"v1","#, 1)),
        list("SecretList", "", &ITEM.replace("data", "datas")),
        list("Secrets", "", JSON),
        list("secretlist", "", ITEM),
        list("List", "", JSON).replace(r#""v1","items""#, r#""apps/v1","items""#),
        list("List", "", JSON).replace("items", "Items"),
        list("SecretList", "", ITEM).replace("items", "Items"),
        r#"{"kind":"List","apiVersion":"v1"}"#.to_owned(),
        r#"{"kind":"List","apiVersion":"v1","items":null}"#.to_owned(),
        r#"{"kind":"List","apiVersion":"v1","items":{}}"#.to_owned(),
        r#"{"kind":"SecretList","apiVersion":"v1","items":null}"#.to_owned(),
        format!(r#"{{"kind":"List","items":[{JSON}]}}"#),
        format!(r#"{{"items":[{JSON}]}}"#),
        // Kinds.
        object("v1", "secret"),
        object("v1", "Secrets"),
        object("V1", "Secret"),
        object("core/v1", "Secret"),
        object("v1/", "Secret"),
        object("''", "Secret"),
        object("1", "Secret"),
        object("v2", "Secret"),
        object("v1", "[Secret]"),
        object("v1", "ConfigMap"),
        "kind: Secret\nmetadata: {name: NAME}\n".to_owned(),
        "apiVersion: v1\nmetadata: {name: NAME}\n".to_owned(),
        // Names.
        "apiVersion: v1\nkind: Secret\n".to_owned(),
        "apiVersion: v1\nkind: Secret\nmetadata: []\n".to_owned(),
        named(""),
        named("5"),
        named("UPPER"),
        named("NAME/x"),
        named("NAME_x"),
        named("NAME.x"),
        named("'NAME '"),
        entry(253),
        entry(254),
        large(1 << 20),
        large((1 << 20) + 1),
        annotated((256 << 10) - 1),
        annotated(256 << 10),
        // Documents.
        "\n".to_owned(),
        "# nothing\n".to_owned(),
        "null".to_owned(),
        "text".to_owned(),
        "- a".to_owned(),
        "kind: [1]".to_owned(),
        "{".to_owned(),
        "--- \n".to_owned() + YAML,
        "--- # c\n".to_owned() + YAML,
        "--- x\n".to_owned() + YAML,
        "---x\n".to_owned() + YAML,
        "---\n---\n# c\n---\n".to_owned() + YAML,
        "%YAML 1.1\n---\n".to_owned() + YAML,
        "\u{feff}".to_owned() + YAML,
        format!("{YAML}---"),
        format!("{YAML}---\n{YAML_B}"),
        format!("{YAML}---\n\u{feff}{YAML_B}"),
        format!("{YAML}---\n{JSON_B}"),
        format!("{YAML}---\n{YAML}"),
        format!("{YAML}---\n{{\n"),
        format!("{YAML}stringData:\n  k: |\n    a\n---\n    b\n"),
        YAML.replace('\n', "\r\n"),
        YAML.replace('\n', "\r"),
        format!("{YAML}stringData:\r\n  k: |\r\n    a\r\n    b\r\n"),
        " ".to_owned() + &YAML.replace('\n', "\n "),
        "a: &a [*a]\n".to_owned() + YAML,
    ];
    // One mapping that another Secret shares.
    files.push(format!("{YAML}stringData: &a {{k: v}}\n---\n{YAML_B}stringData: *a\n"));
    files.push(
        "apiVersion: v1\nkind: List\nitems:\n- &a\n  apiVersion: v1\n  kind: Secret\n  \
         metadata: {name: NAME}\n  stringData: {k: v}\n- <<: *a\n  metadata: {name: NAME-b}\n"
            .to_owned(),
    );
    files
}

/// Files that kubectl takes and a folder refuses, and why.
pub(super) fn refused_on_purpose() -> Vec<(&'static str, String)> {
    let lines = |lines: &str| format!("{YAML}{lines}\n");
    let nested = format!("{{a: {}{}}}", "[".repeat(101), "]".repeat(101));
    let deep = format!("fieldsV1: {nested}");
    vec![
        ("an editor may have just truncated it", String::new()),
        ("which one counts?", lines("stringData: {k: a, k: b}")),
        ("which one counts?", lines("stringData: {'1': a, 1: b}")),
        ("which one counts?", lines("stringData: {y: a, 'true': b}")),
        ("which one counts?", lines("type: a\ntype: b")),
        ("which one counts?", JSON.replace(r#""v"}"#, r#""v","k":"w"}"#)),
        (
            "no name to ask for",
            "apiVersion: v1\nkind: Secret\nmetadata: {generateName: NAME-}\n".to_owned(),
        ),
        ("tags change what a text is", lines("stringData: {k: !!binary aGk=}")),
        ("tags change what a text is", lines("stringData: {k: !x v}")),
        ("tags change what a text is", lines("stringData: {k: ! 1}")),
        ("tags change what a text is", lines("stringData: !!set {k}")),
        ("a line break only in YAML 1.1", lines("stringData: {k: \"a\u{85}b\"}")),
        ("a line break only in YAML 1.1", lines("stringData: {k: \"a \u{2028} b\"}")),
        ("kubectl passes over what follows", lines(&format!("...\n{YAML_B}"))),
        ("kubectl passes over what follows", lines("...\nfoo: [")),
        ("base64 is wanted", lines("data: {k: [1, 2]}")),
        ("not as the API server writes it", YAML.replace("v1", "/v1")),
        ("a control character", JSON.replace(r#""v"}"#, "\"a\u{7f}\"}")),
        ("half of a character, which kubectl replaces", JSON.replace(r#""v"}"#, r#""\ud800"}"#)),
        (
            "kubectl does not look at it",
            format!(r#"{{"kind":"List","apiVersion":"v1","foo":1,"items":[{JSON}]}}"#),
        ),
        (
            "kubectl does not look at it",
            format!(r#"{{"kind":"List","apiVersion":"v1","metadata":{{"x":1}},"items":[{JSON}]}}"#),
        ),
        (
            "what else is in the list?",
            format!(
                r#"{{"kind":"SecretList","apiVersion":"v1","metadata":{{"continue":"x"}},"items":[{ITEM}]}}"#
            ),
        ),
        (
            "is it a Secret or a list?",
            format!(r#"{{"kind":"Secret","apiVersion":"v1","items":[{JSON}]}}"#),
        ),
        (
            "nested beyond need",
            format!(
                "apiVersion: v1\nkind: Secret\nmetadata: {{name: NAME, managedFields: [{{{deep}}}]}}\n"
            ),
        ),
        ("YAML 1.2 has another rule", lines("stringData: {k: -}")),
        ("YAML 1.2 has another rule", lines("stringData: {k: 'a', j: b:}")),
    ]
}

/// Files that kubectl refuses and a folder reads, and why.
pub(super) fn read_on_purpose() -> Vec<(&'static str, String)> {
    let beside = |other: &str| format!("{other}\n---\n{YAML}");
    vec![
        ("kinds that this cluster may not have", beside("apiVersion: other.io/v1\nkind: Secret")),
        (
            "other kinds are not checked",
            beside("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\ndata: {n: 1}"),
        ),
        ("other kinds are not checked", beside("apiVersion: v1\nkind: Pod\nmetadata: []")),
        ("white space without a meaning", format!("{YAML}stringData:\n\t\n  k: v\n")),
        ("one meaning in YAML 1.2", format!("{YAML}stringData: {{k:}}\n")),
        ("one meaning in YAML 1.2", format!("{YAML}stringData: {{k: \"\\/\"}}\n")),
        ("one meaning in YAML 1.2", format!("{YAML}stringData: {{k: \"\\ud83d\\ude00\"}}\n")),
    ]
}
