//! Bodies as they come: how much is taken, and how long one may take.

use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use actix_web::body::{BodyStream, MessageBody};
use actix_web::rt::time::timeout;
use actix_web::web;
use bytes::{Bytes, BytesMut};

use super::super::error::WebError;
use super::super::unread::Unread;

/// Longest silence within a body.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// Until all of it is there: as long as commands wait for an answer.
const WHOLE_MAX: Duration = Duration::from_secs(120);

/// Reads a body. The connection of one that is not read to its end is closed.
pub(super) async fn raw_body(
    mut payload: web::Payload,
    bytes_max: usize,
) -> Result<Bytes, WebError> {
    let body = BodyStream::new(&mut payload);
    let read = read_within(body, bytes_max, SILENCE_MAX, WHOLE_MAX).await;
    read.map_err(|error| WebError::Unread(Box::new(error), Unread::new(payload)))
}

async fn read_within(
    body: impl MessageBody<Error: Display>,
    bytes_max: usize,
    silence: Duration,
    whole: Duration,
) -> Result<Bytes, WebError> {
    let in_time = timeout(whole, read(body, bytes_max, silence)).await;
    in_time.unwrap_or(Err(WebError::Late(whole)))
}

async fn read(
    body: impl MessageBody<Error: Display>,
    bytes_max: usize,
    silence: Duration,
) -> Result<Bytes, WebError> {
    let mut body = pin!(body);
    let mut whole = BytesMut::new();
    loop {
        let next = poll_fn(|context| body.as_mut().poll_next(context));
        let in_time = timeout(silence, next).await;
        let part = in_time.map_err(|_| WebError::Late(silence))?;
        let Some(part) = part else {
            return Ok(whole.freeze());
        };
        let broke_off = |error| WebError::invalid("", format!("the body broke off: {error}"));
        let part = part.map_err(broke_off)?;
        if part.len() > bytes_max - whole.len() {
            return Err(WebError::TooLarge(bytes_max));
        }
        whole.extend_from_slice(&part);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use actix_web::body::BodySize;
    use actix_web::rt;

    use super::*;

    /// A body of which a byte comes now and again, or nothing.
    struct Dripping {
        drips: bool,
        dry: bool,
    }

    impl MessageBody for Dripping {
        type Error = Infallible;

        fn size(&self) -> BodySize {
            BodySize::Stream
        }

        fn poll_next(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Bytes, Infallible>>> {
            self.dry = !self.dry;
            if self.drips && self.dry {
                return Poll::Ready(Some(Ok(Bytes::from_static(b"x"))));
            }
            if self.drips {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        }
    }

    #[test]
    fn a_body_that_never_ends_is_given_up_whether_it_is_silent_or_drips() {
        let body = |drips| Dripping { drips, dry: false };
        let (short, long) = (Duration::from_millis(20), Duration::from_hours(1));
        rt::System::new().block_on(async {
            for (drips, silence, whole) in [(false, short, long), (true, long, short)] {
                let read = read_within(body(drips), usize::MAX, silence, whole).await;
                assert!(matches!(read, Err(WebError::Late(time)) if time == short));
            }
            let read = read_within(body(true), 1_000, long, long).await;
            assert!(matches!(read, Err(WebError::TooLarge(1_000))));
            let whole = read_within("whole", 5, long, long).await;
            assert_eq!(whole.unwrap(), "whole");
        });
    }
}
