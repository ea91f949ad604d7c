//! The body of an answer while it is written.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::connection::{InFlightRequest, RequestPermit};

/// The most that is handed to a connection at once: what a slow reader must take for its answer
/// to count as moving.
const CHUNK: usize = 16 * 1024;

/// What a request holds until the last byte of its answer is written.
pub(super) struct RequestGuard {
    /// Its place on its connection, where it came over one.
    pub(super) in_flight: Option<InFlightRequest>,
    /// Its permit among the requests in flight.
    pub(super) _permit: Option<RequestPermit>,
}

impl RequestGuard {
    /// Keeps all this until `response` is written, or given up.
    pub(super) fn until_written(self, response: Response) -> Response {
        self.progress();
        let held = Arc::new(self);
        response.map(|body| Body::new(Writing { body, rest: Bytes::new(), held }))
    }

    fn progress(&self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.progress();
        }
    }
}

/// A body whose bytes keep what is held: hyper lets go of a body once it has all its bytes, and
/// of the bytes once they are written.
struct Writing {
    body: Body,
    /// What of the last frame was not handed over yet.
    rest: Bytes,
    held: Arc<RequestGuard>,
}

struct Owned {
    bytes: Bytes,
    _held: Arc<RequestGuard>,
}

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Writing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.held.progress();
        if self.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(bytes) => {
                    let owned = Owned { bytes, _held: Arc::clone(&self.held) };
                    self.rest = Bytes::from_owner(owned);
                }
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let chunk = self.rest.len().min(CHUNK);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use http_body_util::BodyExt;
    use prometheus_client::metrics::gauge::Gauge;

    use super::*;
    use crate::connection::InFlight;

    /// What holds the one permit that there is, and a look at how many are taken.
    fn held() -> (RequestGuard, Gauge) {
        let taken = Gauge::default();
        let permit = InFlight::new(NonZeroUsize::MIN, taken.clone()).permit(None);
        (RequestGuard { in_flight: None, _permit: permit }, taken)
    }

    #[tokio::test]
    async fn a_permit_is_given_back_when_the_last_byte_is() {
        let (held, taken) = held();
        let text: Vec<u8> = (0..=u8::MAX).cycle().take(2 * CHUNK + 1).collect();
        let mut body = held.until_written(Response::new(Body::from(text.clone()))).into_body();
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let mut chunks = Vec::new();
        while let Some(frame) = body.frame().await {
            chunks.push(frame.unwrap().into_data().unwrap());
        }
        assert_eq!(chunks.iter().map(Bytes::len).collect::<Vec<_>>(), [CHUNK, CHUNK, 1]);
        assert_eq!(chunks.concat(), text);
        drop(body);
        chunks.truncate(1);
        assert_eq!(taken.get(), 1, "one chunk is still being written");
        chunks.clear();
        assert_eq!(taken.get(), 0);
    }

    #[tokio::test]
    async fn a_permit_is_given_back_when_an_answer_is_given_up() {
        for text in ["", "text"] {
            let (held, taken) = held();
            drop(held.until_written(Response::new(Body::from(text))));
            assert_eq!(taken.get(), 0);
        }
    }
}
