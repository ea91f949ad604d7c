use super::*;

/// `namespace/name`, and the entries as text.
type Found = (String, Vec<(String, String)>);

fn found(text: &str) -> Result<Vec<Found>, Unreadable> {
    let secrets = parse(text.as_bytes())?.into_iter().map(|Entry { name, secret, .. }| {
        let entries = secret.map(|secret| secret.entries).unwrap_or_default();
        let texts = entries
            .iter()
            .map(|(entry, bytes)| (entry.clone(), String::from_utf8_lossy(bytes).into_owned()));
        (name.to_string(), texts.collect())
    });
    Ok(secrets.collect())
}

/// The error of a file.
fn refusal(text: &str) -> String {
    match parse(text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{text:?} was read"),
    }
}

const HEAD: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";

#[test]
fn an_empty_file_is_unreadable_but_one_of_comments_is_not() {
    assert_eq!(refusal(""), "line 1, column 1: the file is empty");
    for nothing in ["\n", "# nothing\n", "---\n---\n", "null\n", "\u{feff}"] {
        assert_eq!(found(nothing), Ok(vec![]), "{nothing:?}");
    }
}

#[test]
fn an_entry_that_is_not_base64_spoils_its_secret_only() {
    let text = format!("{HEAD}data: {{k: '***'}}\n---\n{}", HEAD.replace("a}", "b}"));
    let all = parse(text.as_bytes()).unwrap();
    let error = all[0].secret.as_ref().err().unwrap();
    assert_eq!(error.to_string(), "line 4, column 11, field data.k: not base64");
    assert!(all[1].secret.is_ok());
    assert_eq!((all[0].line, all[1].line), (1, 6));
}

#[test]
fn errors_name_line_column_and_field() {
    let string_data = |pairs: &str| refusal(&format!("{HEAD}stringData:\n  {pairs}\n"));
    for (error, told) in [
        (
            string_data("port: 5432"),
            "line 5, column 9, field stringData.port: a number where a text is wanted: quote it",
        ),
        (
            string_data("a: x\n  on: yes"),
            "line 6, column 7, field stringData.true: a boolean where a text is wanted: quote it",
        ),
        (string_data("k: a\n  k: b"), "line 6, column 3: a key that is there twice"),
        (string_data("k: [a]"), "line 5, column 6, field stringData.k: a text is wanted"),
        (
            string_data("a b: x"),
            "line 5, column 8, field stringData: a name that no entry may have",
        ),
        (
            refusal("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  labels: {x: true}\n"),
            "line 5, column 15, field metadata.labels.x: a boolean where a text is wanted: quote it",
        ),
        (
            refusal("apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  labels: {x/y: true}\n"),
            "line 5, column 17, field metadata.labels: a boolean where a text is wanted: quote it",
        ),
        (
            refusal(&format!("{HEAD}StringData: {{k: v}}\n")),
            "line 4, column 13, field StringData: no such field",
        ),
        (
            refusal("apiVersion: v1\nkind: Secret\n"),
            "line 1, column 1, field metadata.name: no name of a Secret",
        ),
        (
            refusal("apiVersion: v1\nkind: Secret\nmetadata: {name: UPPER}\n"),
            "line 3, column 18, field metadata.name: no name of a Secret",
        ),
        (
            refusal("# c\n---\napiVersion: v1\nkind: secret\n"),
            "line 4, column 7: a kind that v1 does not have",
        ),
        (
            refusal(
                "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\"},\n\"data\":{\"k\":5}}",
            ),
            "line 2, column 13, field data.k: a number where a text is wanted: quote it",
        ),
        (refusal("a: é\u{1}"), "line 1, column 5: a character that YAML does not allow"),
        (
            refusal(&format!("{0}{0}\n [", r#"{"apiVersion":"v1","kind":"Pod"}"#)),
            "line 2, column 2: not valid JSON",
        ),
    ] {
        assert_eq!(error, told);
    }
    let bytes = parse(b"a: b\nc: d\xff").err().unwrap();
    assert_eq!(bytes.to_string(), "line 2, column 5: not UTF-8");
}

#[test]
fn an_error_quotes_nothing() {
    for text in [
        "apiVersion: v1\nkind: Secret\nstringData: {k: [hunter2}\n".to_owned(),
        format!("{HEAD}stringData: {{hunter2 !: 5}}\n"),
        format!("{HEAD}hunter2 !: {{}}\n"),
        format!("{HEAD}--- hunter2\n"),
        format!("{HEAD}data: {{k: hunter2}}\nstringData: {{k: *hunter2}}\n"),
        "{\"hunter2\": hunter2".to_owned(),
    ] {
        assert!(!refusal(&text).contains("hunter2"), "{}", refusal(&text));
    }
}

#[test]
fn an_alias_bomb_is_refused_before_it_costs_anything() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let alias = format!("*a{}, ", level - 1).repeat(10);
        text.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    let error = refusal(&format!("kind: ConfigMap\n{text}"));
    assert!(error.ends_with("the file expands to too much"), "{error}");
}

#[test]
fn a_file_expands_to_so_much_at_most_by_all_of_its_documents() {
    let megabyte = "x".repeat(1 << 20);
    let document = |copies: usize| {
        let copies: String = (0..copies).map(|copy| format!("k{copy}: *a\n")).collect();
        format!("apiVersion: v1\nkind: ConfigMap\na: &a {megabyte}\n{copies}")
    };
    assert_eq!(found(&document(10)), Ok(vec![]));
    assert!(refusal(&document(13)).contains("expands"));
    assert!(refusal(&[document(7), document(7)].join("---\n")).contains("expands"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| {
        format!("apiVersion: v1\nkind: Pod\na: {}{}", "[".repeat(depth), "]".repeat(depth))
    };
    assert_eq!(found(&nested(90)), Ok(vec![]));
    refusal(&nested(101));
    refusal(&nested(100_000));
    refusal(&format!("a: {}", "- ".repeat(100_000)));
    refusal(&"{\"a\":".repeat(100_000));
}
