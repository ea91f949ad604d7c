//! One ExternalSecret of a store that points at the service (pure).

use super::key::{Kind, in_eso, see, told};
use super::{Warning, symptom};
use crate::doctor::report::Check;
use crate::eso::{ExternalSecret, How, Ready, Want};
use crate::problem::Problem;
use crate::secrets::SecretName;

/// What the service would answer to one thing that an ExternalSecret wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It was judged: by the Secret it leads to, if it leads to one.
    Judged(Option<SecretName>, Result<Kind, Problem>),
    /// It was not, for this reason.
    Unjudged(&'static str),
}

/// Looks at an ExternalSecret and what it wants.
pub fn checks(
    external: &ExternalSecret,
    outlooks: &[(&Want, Outlook)],
    warning: &Warning,
) -> Vec<Check> {
    let subject = &format!("ExternalSecret {}", external.id());
    let mut checks = vec![readiness(subject, external, warning)];
    let before = checks.len();
    checks.extend(outlooks.iter().filter_map(|(want, outlook)| reference(subject, want, outlook)));
    if checks.len() == before {
        let finding = match outlooks.len() {
            1 => "what it asks for can be read".to_owned(),
            count => format!("all {count} things that it asks for can be read"),
        };
        checks.push(Check::ok("external-secret-reference", subject, finding));
    }
    checks
}

fn readiness(subject: &str, external: &ExternalSecret, warning: &Warning) -> Check {
    const NAME: &str = "external-secret-ready";
    let reason = match &external.ready {
        None => return Check::unknown(NAME, subject, "ESO has not processed it yet"),
        Some(Ready { is_ready: true, .. }) => return Check::ok(NAME, subject, "it is Ready"),
        Some(Ready { reason, .. }) => reason,
    };
    let (namespace, name) = (&external.namespace, &external.name);
    let (why, remedy) = symptom::explain(warning, "ExternalSecret", Some(namespace), name);
    Check::fault(NAME, subject, format!("it is not Ready ({reason}): {why}"), remedy)
}

/// What is wrong with a reference, if anything is.
fn reference(subject: &str, want: &Want, outlook: &Outlook) -> Option<Check> {
    const NAME: &str = "external-secret-reference";
    let place = &want.place;
    if want.how == How::Find {
        let finding = format!("{place}: ESO's webhook provider does not implement find");
        return Some(Check::fault(NAME, subject, finding, "Use extract, or data"));
    }
    match outlook {
        Outlook::Unjudged(why) => Some(Check::unknown(NAME, subject, format!("{place}: {why}"))),
        Outlook::Judged(secret, Err(problem)) => {
            let secret = secret.as_ref().map(|name| format!(" (Secret {name})"));
            let finding = format!("{place}{}: {}", secret.unwrap_or_default(), told(problem));
            Some(Check::fault(NAME, subject, finding, see(problem.code)))
        }
        Outlook::Judged(_, Ok(kind)) => {
            let error = in_eso(kind, want.how).err()?;
            let finding = format!("{place}: {error}, and the answer is {kind}");
            Some(Check::fault(NAME, subject, finding, "See docs/eso.md"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unread;
    use super::super::testing::{faults, name, outcome};
    use super::*;
    use crate::doctor::report::Status;
    use crate::eso::{Remote, StoreId};
    use crate::problem::Code;

    fn look(
        ready: Option<(bool, &str)>,
        how: How,
        outlook: Outlook,
        warning: Warning,
    ) -> Vec<Check> {
        let want = Want {
            place: "data[0]".to_owned(),
            store: StoreId { namespace: None, name: "s".to_owned() },
            how,
            remote: Remote::default(),
        };
        let external = ExternalSecret {
            namespace: "ns".to_owned(),
            name: "es".to_owned(),
            wants: vec![want.clone()],
            ready: ready.map(|(is_ready, reason)| Ready {
                is_ready,
                reason: reason.to_owned(),
                since: None,
            }),
        };
        checks(&external, &[(&want, outlook)], &warning)
    }

    fn readable() -> Outlook {
        Outlook::Judged(Some(name("a/b")), Ok(Kind::Text { object: false }))
    }

    #[test]
    fn what_is_ready_and_readable_has_no_fault() {
        let checks = look(Some((true, "SecretSynced")), How::Data, readable(), None);
        assert!(checks.iter().all(|check| check.status == Status::Ok), "{checks:?}");
        let checks = look(None, How::Data, readable(), None);
        assert_eq!(outcome(&checks, "external-secret-ready").0, Status::Unknown);
    }

    #[test]
    fn why_it_is_not_ready_is_told_from_the_last_warning_and_never_by_its_text() {
        let of = |warning| {
            let checks = look(Some((false, "SecretSyncedError")), How::Data, readable(), warning);
            assert_eq!(faults(&checks), ["external-secret-ready"]);
            outcome(&checks, "external-secret-ready").1.to_owned()
        };
        let event = |text: &str| Some(Ok(Some(text.to_owned())));
        assert!(of(event("endpoint gave error 401 token-expired")).contains("401 token-expired: "));
        assert!(!of(event("parsing \"hunter2\"")).contains("hunter2"));
        assert!(of(Some(Ok(None))).contains("no event"));
        assert!(of(Some(Err(Unread::Forbidden))).contains("RBAC"));
    }

    #[test]
    fn a_reference_that_will_fail_is_a_fault() {
        let refused = Outlook::Judged(Some(name("a/b")), Err(Code::NotLabelled.into()));
        let of = |how, outlook| look(Some((true, "")), how, outlook, None);
        for checks in
            [of(How::Data, refused), of(How::Extract, readable()), of(How::Find, readable())]
        {
            assert_eq!(faults(&checks), ["external-secret-reference"]);
        }
        let checks = of(How::Data, Outlook::Unjudged("forbidden"));
        assert_eq!(outcome(&checks, "external-secret-reference").0, Status::Unknown);
    }
}
