//! The endpoint itself: every check in its order, and the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::try_join;

use super::audit::AuditRecord;
use super::value;
use crate::answer::{Answer, Form};
use crate::auth::{Authenticator, Bearer};
use crate::connection::Connection;
use crate::policy::ServePolicy;
use crate::problem::Code;
use crate::problem::Problem;
use crate::query::Query;
use crate::secrets::{MemoryBudget, SecretStore};

/// The path of the endpoint.
const PATH: &str = "/webhook";

/// No key, property and parameter together come near it: a longer query is a mistake.
const MAX_QUERY: usize = 8 * 1024;

/// What the endpoint needs to answer.
pub struct Endpoint {
    /// Judges bearers.
    pub authenticator: Arc<Authenticator>,
    /// Where values are read.
    pub store: Arc<dyn SecretStore>,
    /// Which Secrets are served.
    pub policy: ServePolicy,
    /// For a whole answer, from its arrival to the head of the response.
    pub deadline: Duration,
    /// Where large answers are until they are sent.
    pub memory: MemoryBudget,
}

impl Endpoint {
    /// Answers `GET` and `HEAD` of `/webhook`, and notes in `record` what it learns.
    ///
    /// # Errors
    /// Whatever is answered in place of a value.
    pub(super) async fn handle(
        &self,
        record: &mut AuditRecord,
        head: &Parts,
        has_body: bool,
    ) -> Result<Response, Problem> {
        let looked_up = self.look_up(record, head, has_body);
        let looked_up = tokio::time::timeout(self.deadline, looked_up).await;
        looked_up.unwrap_or_else(|_| Err(Code::DeadlineExceeded.into()))
    }

    /// The order of the checks is part of the contract: a caller without a valid token learns
    /// nothing, not even whether a key is well formed.
    async fn look_up(
        &self,
        record: &mut AuditRecord,
        head: &Parts,
        has_body: bool,
    ) -> Result<Response, Problem> {
        refuse_what_is_no_plain_get(head, has_body)?;
        let authorization = head.headers.get_all(header::AUTHORIZATION);
        let bearer = Bearer::parse(authorization.iter().map(HeaderValue::as_bytes))?;

        // What is wrong with it is told after the bearer is authenticated.
        let asked = Asked::of(self, head);
        let authenticated = async { Ok(self.authenticator.authenticate(bearer).await?) };
        let early_read = match &asked {
            Ok(Asked { query, form: Ok(_) }) if self.authenticator.expects(bearer) => {
                // Beside the token's read: the common case takes one round trip, not two.
                let read = self.store.read(&query.secret).map(|read| Ok::<_, Problem>(Some(read)));
                let (caller, read) = try_join(authenticated, read).await?;
                record.caller = Some(caller);
                read
            }
            _ => {
                record.caller = Some(authenticated.await?);
                None
            }
        };
        if let Some(connection) = head.extensions.get::<Arc<Connection>>() {
            connection.note_accepted();
        }

        let Asked { query, form } = asked?;
        record.key = Some(query.secret.clone());
        let form = form?;
        let read = match early_read {
            Some(read) => read,
            None => self.store.read(&query.secret).await,
        };
        let secret = read.map_err(Problem::of_value)?;
        self.policy.serves(&secret)?;
        let answer = Answer::find(&secret, &query, form)?;
        let size = answer.size();
        let reservation = self.memory.reserve(size).await?;
        value::response(&answer, size, reservation).map_err(|_| Code::InternalError.into())
    }
}

/// What a request asks for.
struct Asked {
    query: Query,
    /// The form of the answer, or why there is none before anything is read.
    form: Result<Form, Problem>,
}

impl Asked {
    fn of(endpoint: &Endpoint, head: &Parts) -> Result<Self, Problem> {
        let query = head.uri.query().unwrap_or_default();
        let query = Query::parse(query, &endpoint.policy.default_namespace)?;
        let form = match value::preferred_form(&head.headers) {
            Form::Raw if query.property.is_none() => Err(Code::RawNeedsProperty.into()),
            form => endpoint.policy.permits(&query.secret).map(|()| form).map_err(Problem::from),
        };
        Ok(Self { query, form })
    }
}

/// Path, method and body, in this order.
fn refuse_what_is_no_plain_get(head: &Parts, has_body: bool) -> Result<(), Problem> {
    if head.uri.path() != PATH {
        // Never a 404: ESO would take a mistyped URL for a deleted secret.
        return Err(Code::UnknownPath.into());
    }
    if head.uri.query().is_some_and(|query| query.len() > MAX_QUERY) {
        return Err(Code::UriTooLong.into());
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Code::MethodNotAllowed.into());
    }
    if has_body { Err(Code::BodyNotAllowed.into()) } else { Ok(()) }
}
