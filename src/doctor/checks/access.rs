//! What a ServiceAccount may do: enough, and not more (pure).

use super::Unread;
use crate::doctor::report::Check;
use crate::policy::ServePolicy;
use crate::secrets::{Namespace, SecretName};

/// What the service never does: whoever takes over its ServiceAccount should not either.
const TOO_MUCH: [&str; 7] =
    ["list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// A question to the API server: whether somebody may do this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The verb.
    pub verb: &'static str,
    /// The API group; empty is the core, `*` all.
    pub group: &'static str,
    /// The resource; `*` is all.
    pub resource: &'static str,
    /// The namespace; `None` is all.
    pub namespace: Option<String>,
    /// The object; `None` is all.
    pub name: Option<String>,
}

impl Question {
    /// Whether one Secret may be read.
    pub fn get(secret: &SecretName) -> Self {
        let name = Some(secret.name().to_owned());
        Self { name, ..Self::secrets("get", Some(&secret.namespace)) }
    }

    fn secrets(verb: &'static str, namespace: Option<&Namespace>) -> Self {
        let namespace = namespace.map(|namespace| namespace.as_str().to_owned());
        Self { verb, group: "", resource: "secrets", namespace, name: None }
    }

    fn anything() -> Self {
        Self { verb: "*", group: "*", resource: "*", namespace: None, name: None }
    }
}

/// The answers, each behind its question.
pub type Answers = [(Question, Result<bool, Unread>)];

/// All that is to be asked for this policy.
pub fn questions(policy: &ServePolicy) -> Vec<Question> {
    let mut questions = vec![Question::get(&policy.token_secret)];
    for namespace in namespaces(policy) {
        questions.push(Question::secrets("get", Some(namespace)));
        questions.extend(TOO_MUCH.map(|verb| Question::secrets(verb, Some(namespace))));
    }
    questions.push(Question::secrets("get", None));
    questions.push(Question::anything());
    questions
}

/// Judges the answers to [`questions`] for `account`.
pub fn checks(account: &str, policy: &ServePolicy, answers: &Answers) -> Vec<Check> {
    let subject = format!("permissions of {account}");
    if let Some((_, Err(error))) = answers.iter().find(|(_, answer)| answer.is_err()) {
        return vec![Check::unknown("access", &subject, error.to_string())];
    }
    let may = |question: &Question| {
        answers.iter().any(|(asked, answer)| asked == question && *answer == Ok(true))
    };
    let mut checks = vec![reads_token(&subject, &policy.token_secret, &may)];
    for namespace in namespaces(policy) {
        checks.push(reads_values(&subject, namespace, &may));
        checks.push(no_more_in(&subject, namespace, &may));
    }
    checks.push(no_more_elsewhere(&subject, &may));
    checks
}

/// Whether the Secret of one key may be read.
pub fn of_key(account: &str, secret: &SecretName, answer: &Result<bool, Unread>) -> Check {
    let subject = format!("permissions of {account}");
    match answer {
        Ok(true) => Check::ok("access", &subject, format!("it may get Secret {secret}")),
        Ok(false) => Check::fault(
            "access",
            &subject,
            format!("it may not get Secret {secret}: a request is a 500 rbac-forbidden"),
            "Give it a Role with get on secrets there",
        ),
        Err(error) => Check::unknown("access", &subject, error.to_string()),
    }
}

fn namespaces(policy: &ServePolicy) -> impl Iterator<Item = &Namespace> {
    std::iter::once(&policy.default_namespace).chain(&policy.other_namespaces)
}

fn reads_token(subject: &str, token: &SecretName, may: &impl Fn(&Question) -> bool) -> Check {
    if may(&Question::get(token)) {
        return Check::ok("access-token", subject, format!("it may get the token Secret {token}"));
    }
    Check::fault(
        "access-token",
        subject,
        format!("it may not get the token Secret {token}: every request is a 500 rbac-forbidden"),
        format!("Give it a Role in {} with get on secrets", token.namespace),
    )
}

fn reads_values(subject: &str, namespace: &Namespace, may: &impl Fn(&Question) -> bool) -> Check {
    if may(&Question::secrets("get", Some(namespace))) {
        return Check::ok("access-values", subject, format!("it may get Secrets in {namespace}"));
    }
    Check::unknown(
        "access-values",
        subject,
        format!(
            "it may not get every Secret in {namespace}, which is right where its Role names \
             single ones (resourceNames): ask about one with doctor KEY"
        ),
    )
}

fn no_more_in(subject: &str, namespace: &Namespace, may: &impl Fn(&Question) -> bool) -> Check {
    let too_much: Vec<&str> = TOO_MUCH
        .into_iter()
        .filter(|verb| may(&Question::secrets(verb, Some(namespace))))
        .collect();
    if too_much.is_empty() {
        let finding = format!("it may do nothing else to Secrets in {namespace}");
        return Check::ok("access-excess", subject, finding);
    }
    Check::fault(
        "access-excess",
        subject,
        format!(
            "it may {} Secrets in {namespace}, which the service never needs",
            too_much.join(", ")
        ),
        "Reduce its Role to the verb get",
    )
}

fn no_more_elsewhere(subject: &str, may: &impl Fn(&Question) -> bool) -> Check {
    if may(&Question::anything()) {
        return Check::fault(
            "access-everywhere",
            subject,
            "it may do anything in the whole cluster",
            "Remove its ClusterRoleBinding and give it a Role in each served namespace",
        );
    }
    if may(&Question::secrets("get", None)) {
        return Check::fault(
            "access-everywhere",
            subject,
            "it may get the Secrets of every namespace",
            "Bind a Role in each served namespace in place of a ClusterRole for the cluster",
        );
    }
    Check::ok("access-everywhere", subject, "it may not get the Secrets of every namespace")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{faults, outcome, policy};
    use super::*;
    use crate::doctor::report::Status;

    /// Judges an account that may do what `may` says.
    fn look(may: impl Fn(&Question) -> bool) -> Vec<Check> {
        let ask = |question: Question| {
            let answer = Ok(may(&question));
            (question, answer)
        };
        let answers: Vec<_> = questions(&policy()).into_iter().map(ask).collect();
        checks("ServiceAccount default/vsecm-scout", &policy(), &answers)
    }

    fn gets_there(question: &Question) -> bool {
        question.verb == "get" && question.namespace.is_some()
    }

    #[test]
    fn get_in_the_served_namespaces_is_enough_and_not_too_much() {
        let checks = look(gets_there);
        assert!(checks.iter().all(|check| check.status == Status::Ok), "{checks:?}");
    }

    #[test]
    fn too_little_and_too_much_are_found() {
        assert_eq!(faults(&look(|_| false)), ["access-token"]);
        for verb in TOO_MUCH {
            let checks = look(|question| gets_there(question) || question.verb == verb);
            assert_eq!(faults(&checks), ["access-excess", "access-excess"], "{verb}");
            assert!(outcome(&checks, "access-excess").1.contains(verb));
        }
        assert_eq!(faults(&look(|question| question.verb == "get")), ["access-everywhere"]);
        assert_eq!(faults(&look(|_| true)).pop(), Some("access-everywhere"));
    }

    #[test]
    fn a_role_that_names_single_secrets_is_no_fault() {
        let checks = look(|question| question.name.is_some());
        assert_eq!(outcome(&checks, "access-values").0, Status::Unknown);
        assert_eq!(faults(&checks), Vec::<&str>::new());
    }

    #[test]
    fn reviews_that_are_forbidden_are_told() {
        let answers = [(Question::anything(), Err(Unread::Forbidden))];
        let checks = checks("x", &policy(), &answers);
        assert_eq!(outcome(&checks, "access").0, Status::Unknown);
    }
}
