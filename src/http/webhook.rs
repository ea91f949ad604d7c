//! The endpoint itself: every check in its order, and the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::try_join;

use super::answer::{Answer, Form};
use super::audit::Trail;
use crate::auth::{Authenticator, Bearer};
use crate::connection::Connection;
use crate::policy::ServePolicy;
use crate::problem::Code;
use crate::problem::Problem;
use crate::query::Query;
use crate::secrets::{Memory, SecretStore};

/// No key, property and parameter together come near it: a longer query is a mistake.
const MAX_QUERY: usize = 8 * 1024;

/// What the endpoint needs to answer.
pub struct Scout {
    /// Judges bearers.
    pub authenticator: Authenticator,
    /// Where values are read.
    pub store: Arc<dyn SecretStore>,
    /// Which Secrets are served.
    pub policy: ServePolicy,
    /// For a whole answer, from its arrival to the head of the response.
    pub deadline: Duration,
    /// Where large answers are until they are sent.
    pub memory: Memory,
}

/// Answers `GET` and `HEAD` of `/webhook`.
pub(super) async fn webhook(scout: &Scout, trail: Trail, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    match tokio::time::timeout(scout.deadline, look_up(scout, &trail, &head, has_body)).await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(_) => Problem::from(Code::DeadlineExceeded).into_response(),
    }
}

/// The order of the checks is part of the contract: a caller without a token learns nothing,
/// not even whether a key is well formed.
async fn look_up(
    scout: &Scout,
    trail: &Trail,
    head: &Parts,
    has_body: bool,
) -> Result<Response, Problem> {
    refuse_what_is_no_plain_get(head, has_body)?;
    let authorization = head.headers.get_all(header::AUTHORIZATION);
    let bearer = Bearer::parse(authorization.iter().map(HeaderValue::as_bytes))?;

    // What is wrong with it is told after the verdict on the bearer.
    let asked = Asked::of(scout, head);
    let verdict = async { Ok(scout.authenticator.authenticate(bearer).await?) };
    let early_read = match &asked {
        Ok(Asked { query, form: Ok(_) }) if scout.authenticator.expects(bearer) => {
            // Beside the token's read: the common case takes one round trip, not two.
            let read = scout.store.read(&query.secret).map(|read| Ok::<_, Problem>(Some(read)));
            let (caller, read) = try_join(verdict, read).await?;
            trail.note_caller(caller);
            read
        }
        _ => {
            trail.note_caller(verdict.await?);
            None
        }
    };
    if let Some(connection) = head.extensions.get::<Arc<Connection>>() {
        connection.note_accepted();
    }

    let Asked { query, form } = asked?;
    trail.note_key(&query.secret);
    let form = form?;
    let read = match early_read {
        Some(read) => read,
        None => scout.store.read(&query.secret).await,
    };
    let secret = read.map_err(Problem::of_value)?;
    scout.policy.serves(&secret)?;
    let answer = Answer::find(&secret, &query, form)?;
    let size = answer.size();
    let place = scout.memory.place(size).await?;
    answer.into_response(size, place).map_err(|_| Code::InternalError.into())
}

/// What a request asks for.
struct Asked {
    query: Query,
    /// The form of the answer, or why there is none before anything is read.
    form: Result<Form, Problem>,
}

impl Asked {
    fn of(scout: &Scout, head: &Parts) -> Result<Self, Problem> {
        let query = head.uri.query().unwrap_or_default();
        let query = Query::parse(query, &scout.policy.default_namespace)?;
        let form = match Form::wanted(&head.headers) {
            Form::Raw if query.property.is_none() => Err(Code::RawNeedsProperty.into()),
            form => scout.policy.permits(&query.secret).map(|()| form).map_err(Problem::from),
        };
        Ok(Self { query, form })
    }
}

fn refuse_what_is_no_plain_get(head: &Parts, has_body: bool) -> Result<(), Problem> {
    if head.uri.query().is_some_and(|query| query.len() > MAX_QUERY) {
        return Err(Code::UriTooLong.into());
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Err(Code::MethodNotAllowed.into());
    }
    if has_body {
        // A body that nobody reads would be taken for the next request if anything between
        // disagrees on where it ends: the connection ends with the refusal.
        if let Some(connection) = head.extensions.get::<Arc<Connection>>() {
            connection.close();
        }
        return Err(Code::BodyNotAllowed.into());
    }
    Ok(())
}
