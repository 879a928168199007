//! A control request in log lines and traces: its id, and the trace that it belongs to.

use data_encoding::HEXLOWER;
use tracing::Span;
use tracing::field::Empty;

/// Longest id that is taken over from a caller, bytes.
const ID_BYTES_MAX: usize = 128;

/// Name of a request: its caller's, or made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The caller's, if it is 1 to 128 of `A-Z a-z 0-9 . _ -`, or a new one.
    #[must_use]
    pub fn of(sent: Option<&[u8]>) -> Self {
        sent.and_then(Self::parse).unwrap_or_else(Self::random)
    }

    fn parse(sent: &[u8]) -> Option<Self> {
        let sane = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let sane = (1..=ID_BYTES_MAX).contains(&sent.len()) && sent.iter().all(sane);
        let text = std::str::from_utf8(sent).ok().filter(|_| sane)?;
        Some(Self(text.to_owned()))
    }

    fn random() -> Self {
        let mut bytes = [0; 16];
        if let Err(error) = getrandom::fill(&mut bytes) {
            tracing::warn!(%error, "telemetry: no randomness for the id of a request");
        }
        Self(HEXLOWER.encode(&bytes))
    }

    /// As it stands in headers and log lines.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// W3C Trace Context: what a caller says of the trace that its request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TraceParent {
    pub(super) trace: [u8; 16],
    pub(super) parent: [u8; 8],
    pub(super) flags: u8,
}

impl TraceParent {
    /// Reads a `traceparent` header; later versions may have more behind what this one knows.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let mut parts = header.splitn(5, |byte| *byte == b'-');
        let version = hex::<1>(parts.next()?)?;
        let trace = hex::<16>(parts.next()?)?;
        let parent = hex::<8>(parts.next()?)?;
        let [flags] = hex::<1>(parts.next()?)?;
        let more = parts.next().is_some();
        let known = match version {
            [0] => !more,
            [0xff] => false,
            _ => true,
        };
        let named = trace != [0; 16] && parent != [0; 8];
        (known && named).then_some(Self {
            trace,
            parent,
            flags,
        })
    }
}

fn hex<const BYTES: usize>(text: &[u8]) -> Option<[u8; BYTES]> {
    HEXLOWER.decode(text).ok()?.try_into().ok()
}

/// The span of a control request: every line that is logged within has its id.
#[derive(Clone, Debug)]
pub struct RequestSpan(Span);

impl RequestSpan {
    /// Begins; `traceparent` is the caller's header, if it sent one.
    #[must_use]
    pub fn begin(id: &RequestId, traceparent: Option<&[u8]>) -> Self {
        // At the highest level, so that no filter takes the id away from what is logged within.
        let span = tracing::error_span!(
            "request",
            request_id = id.as_str(),
            trace_id = Empty,
            method = Empty,
            route = Empty,
            status = Empty,
        );
        if let Some(from) = traceparent.and_then(TraceParent::parse) {
            span.record("trace_id", HEXLOWER.encode(&from.trace));
            #[cfg(feature = "otlp")]
            super::otlp::set_parent(&span, from);
        }
        Self(span)
    }

    /// The span, to run a request in.
    #[must_use]
    pub fn span(&self) -> Span {
        self.0.clone()
    }

    /// Notes how it was answered.
    pub fn answered(&self, method: &str, route: &str, status: u16) {
        self.0.record("method", method);
        self.0.record("route", route);
        self.0.record("status", status);
        #[cfg(feature = "otlp")]
        super::otlp::set_answer(&self.0, method, route, status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_taken_over_and_any_other_replaced() {
        let long = "x".repeat(ID_BYTES_MAX);
        for sane in ["a", "9f.B_c-1", &long] {
            assert_eq!(RequestId::of(Some(sane.as_bytes())).as_str(), sane);
        }
        let longer = format!("{long}x");
        for other in ["", "a b", "a\nb", "ä", "a\"b", "a,b", "{x}", &longer] {
            let id = RequestId::of(Some(other.as_bytes()));
            assert_eq!(id.as_str().len(), 32, "{other:?}");
            assert!(RequestId::parse(id.as_str().as_bytes()).is_some());
        }
        assert_ne!(RequestId::of(None), RequestId::of(None));
    }

    #[test]
    fn traceparent_as_w3c_has_it() {
        const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let read = TraceParent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((read.trace[0], read.parent[7], read.flags), (0x4b, 0xb7, 1));
        let later = GOOD.replacen("00", "01", 1) + "-more";
        assert_eq!(TraceParent::parse(later.as_bytes()), Some(read));
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473\n-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
