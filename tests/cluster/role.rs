//! What the service may do on the API server: README's Role suffices, and all of it is needed.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use libtest_mimic::Trial;

use crate::harness::{self, AuditEvent, ControlPlane, eventually, trial};
use crate::scout::{Scout, Site};
use crate::support::SOON;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(
            "role::the_service_gets_single_secrets_and_asks_for_nothing_else",
            the_service_gets_single_secrets_and_asks_for_nothing_else,
        ),
        trial(
            "role::each_right_that_is_taken_away_is_a_500_until_it_is_back",
            each_right_that_is_taken_away_is_a_500_until_it_is_back,
        ),
        trial(
            "role::a_namespace_that_does_not_exist_is_like_one_without_the_secret",
            a_namespace_that_does_not_exist_is_like_one_without_the_secret,
        ),
    ]
}

const FORBIDDEN: &str = "500 rbac-forbidden";

const UNLABELLED: &str = "
apiVersion: v1
kind: Secret
metadata: { name: unlabelled }
stringData: { word: sesame }
";

async fn the_service_gets_single_secrets_and_asks_for_nothing_else() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "role").await?;
    plane.kubectl().apply_in(&site.namespace, UNLABELLED).await?;
    let mut scout = site.start(&[])?;
    scout.ready().await?;
    for (query, told) in [
        ("key=myremotekey", "200 ok"),
        ("key=myremotekey&property=username", "200 ok"),
        ("key=myremotekey&property=absent", "422 no-such-entry"),
        ("key=unlabelled", "403 not-labelled"),
        ("key=jwt-token", "403 never-served"),
        ("key=elsewhere/myremotekey", "403 namespace-not-served"),
        ("key=absent", "404 no-such-secret"),
    ] {
        let question = Question { scout: &scout, query, token: &site.token };
        ensure!(question.ask().await? == told, "{query}");
    }
    scout.process.signal("TERM");
    ensure!(scout.process.wait().success());

    let names = ["jwt-token", "myremotekey", "unlabelled", "absent"];
    let names: BTreeSet<String> = names.map(str::to_owned).into();
    let events = eventually("all reads in the audit log", SOON, || async {
        let events = plane.audit(&site.account.user())?;
        let seen: BTreeSet<String> = events.iter().map(|event| event.object.name.clone()).collect();
        Ok((seen == names).then_some(events))
    })
    .await?;
    for event in events {
        // The whole address: with a resourceVersion, an API server may answer from a cache.
        let uri = format!("/api/v1/namespaces/{}/secrets/{}", site.namespace, event.object.name);
        ensure!(event.verb == "get" && event.uri == uri, "{event:?}");
        ensure!(event.user_agent.starts_with("vsecm-scout/"), "{event:?}");
        let expected = if event.object.name == "absent" { 404 } else { 200 };
        ensure!(event.response.code == expected, "{event:?}");
    }
    let ours = |event: &AuditEvent| event.user_agent.starts_with("vsecm-scout/");
    ensure!(!plane.audit("system:anonymous")?.iter().any(ours), "it says who it is each time");
    Ok(())
}

async fn each_right_that_is_taken_away_is_a_500_until_it_is_back() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "rights").await?;
    let scout = site.start(&[])?;
    scout.ready().await?;
    let kubectl = plane.kubectl();
    let patch = async |rules: &str| {
        let namespace = &*site.namespace;
        let patch = ["patch", "role", "vsecm-scout", "-n", namespace, "--type=merge", "-p", rules];
        kubectl.run(&patch).await
    };
    let only = |verb: &str, names: &str| {
        format!(
            r#"{{"rules":[{{"apiGroups":[""],"resources":["secrets"],"verbs":["{verb}"],"resourceNames":[{names}]}}]}}"#
        )
    };
    let value = Question { scout: &scout, query: "key=myremotekey", token: &site.token };
    value.becomes("200 ok").await?;
    for (why, rules, told) in [
        ("without the token", only("get", r#""myremotekey""#), FORBIDDEN),
        ("with both names", only("get", r#""jwt-token","myremotekey""#), "200 ok"),
        ("without the value", only("get", r#""jwt-token""#), FORBIDDEN),
        ("with any name", only("get", ""), "200 ok"),
        ("with other verbs", only("list", ""), FORBIDDEN),
        ("with get again", only("get", ""), "200 ok"),
        ("without a rule", r#"{"rules":[]}"#.to_owned(), FORBIDDEN),
    ] {
        patch(&rules).await?;
        value.becomes(told).await.context(why)?;
    }
    // The right to read the token is enough to turn a wrong one away.
    patch(&only("get", r#""jwt-token""#)).await?;
    Question { token: "a.b.c", ..value }.becomes("401 token-mismatch").await?;

    kubectl.apply_in(&site.namespace, &site.fitted("role")?).await?;
    value.becomes("200 ok").await?;
    kubectl.run(&["delete", "rolebinding", "vsecm-scout", "-n", &site.namespace]).await?;
    value.becomes(FORBIDDEN).await.context("without the binding")?;
    kubectl.apply_in(&site.namespace, &site.fitted("role")?).await?;
    value.becomes("200 ok").await
}

async fn a_namespace_that_does_not_exist_is_like_one_without_the_secret() -> Result<()> {
    let plane = harness::shared().await?;
    let site = Site::new(&plane, "nowhere").await?;
    let nowhere = format!("{}-absent", site.namespace);
    let namespaces = format!("{},{nowhere}", site.namespace);
    let scout = site.start(&["--namespace", &namespaces])?;
    let query = format!("key={nowhere}/myremotekey");
    let value = Question { scout: &scout, query: &query, token: &site.token };
    value.becomes(FORBIDDEN).await.context("no Role reaches there")?;
    allow_everywhere(&plane, &site).await?;
    value.becomes("404 no-such-secret").await
}

/// Lets the ServiceAccount read the Secrets of all namespaces.
async fn allow_everywhere(plane: &ControlPlane, site: &Site) -> Result<()> {
    let (name, kubectl) = (&*site.namespace, plane.kubectl());
    kubectl.run(&["create", "clusterrole", name, "--verb=get", "--resource=secrets"]).await?;
    let account = format!("--serviceaccount={name}:{}", site.account.name);
    let role = format!("--clusterrole={name}");
    kubectl.run(&["create", "clusterrolebinding", name, &role, &account]).await?;
    Ok(())
}

/// What somebody asks.
#[derive(Clone, Copy)]
struct Question<'a> {
    scout: &'a Scout,
    query: &'a str,
    token: &'a str,
}

impl Question<'_> {
    /// Asks once: the status and the code of the answer, which stands in its status line too.
    async fn ask(&self) -> Result<String> {
        let answer = self.scout.get(self.query, self.token).await?;
        if answer.status == 200 {
            return Ok("200 ok".to_owned());
        }
        ensure!(answer.reason.as_deref() == Some(&*answer.code()), "{answer:?}");
        Ok(format!("{} {}", answer.status, answer.code()))
    }

    /// Asks until the answer is another one than at first, since the API server takes a moment to
    /// learn of a change of rights. That must be `told`, unless it is from the start.
    async fn becomes(&self, told: &str) -> Result<()> {
        let first = self.ask().await?;
        let last = eventually(told, SOON, || async {
            let now = self.ask().await?;
            Ok((now == told || now != first).then_some(now))
        })
        .await?;
        ensure!(last == told, "{last} and not {told}");
        Ok(())
    }
}
