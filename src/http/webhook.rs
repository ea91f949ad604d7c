//! The endpoint itself: every check in its order, and the answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{Extension, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::Response;

use super::Connection;
use super::answer::{Form, answer};
use super::audit::Trail;
use super::problem::{Code, Problem};
use crate::auth::{Authenticator, Bearer};
use crate::policy::ServePolicy;
use crate::query::Query;
use crate::secrets::SecretStore;

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
}

/// Answers `GET` and `HEAD` of `/webhook`.
pub async fn webhook(
    State(scout): State<Arc<Scout>>,
    Extension(trail): Extension<Trail>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let has_body = !body.is_end_stream();
    match tokio::time::timeout(scout.deadline, look_up(&scout, &trail, &head, has_body)).await {
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
    trail.note_caller(scout.authenticator.authenticate(bearer).await?);

    let query = head.uri.query().unwrap_or_default();
    let query = Query::parse(query, &scout.policy.default_namespace)?;
    trail.note_key(&query.secret);
    let form = Form::wanted(&head.headers);
    if form == Form::Raw && query.property.is_none() {
        return Err(Code::RawNeedsProperty.into());
    }

    scout.policy.permits(&query.secret)?;
    let secret = scout.store.read(&query.secret).await.map_err(Problem::of_value)?;
    scout.policy.serves(&secret)?;
    Ok(answer(&secret, &query, form)?)
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
