//! Finds where an answer ends: status line, `Content-Length`, `Connection: close`, nothing else.
//!
//! Refuses chunked bodies and answers without a length, except to 204 and 304, which have none.

use memchr::memmem;

/// Longest head that is read; a server that sends more is not one of ours.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What an answer's head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Bytes of head and body together.
    pub(crate) length: usize,
    /// Whether the server closes the connection behind it.
    pub(crate) closes: bool,
}

/// Not an answer that we can find the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Reads the head at the beginning of `bytes`; `None` if it is not complete.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        let hopeless = bytes.len() > HEAD_BYTES_MAX;
        return if hopeless { Err(Malformed) } else { Ok(None) };
    };
    let (head, _) = bytes.split_at(end);
    let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let status = status(lines.next().unwrap_or_default())?;
    let (mut body, mut closes) = (None, false);
    for line in lines {
        if let Some(value) = value(line, b"content-length:") {
            body = Some(number(value).ok_or(Malformed)?);
        } else if let Some(value) = value(line, b"connection:") {
            closes = value.eq_ignore_ascii_case(b"close");
        }
    }
    let body = match (status, body) {
        (204 | 304, _) => 0,
        (100..200, _) | (_, None) => return Err(Malformed),
        (_, Some(body)) => body,
    };
    let length = end + 4 + body;
    Ok(Some(Head {
        status,
        length,
        closes,
    }))
}

fn status(line: &[u8]) -> Result<u16, Malformed> {
    let rest = line.strip_prefix(b"HTTP/1.").ok_or(Malformed)?;
    let digits = rest.get(2..5).ok_or(Malformed)?;
    let status = number(digits).and_then(|status| u16::try_from(status).ok());
    status
        .filter(|status| (100..600).contains(status))
        .ok_or(Malformed)
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_answer_is_found() {
        let bytes = b"HTTP/1.1 302 Found\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello";
        let found = head(bytes).unwrap().unwrap();
        assert_eq!((found.status, found.closes), (302, false));
        assert_eq!(found.length, bytes.len());
        for short in 0..bytes.len() - 5 {
            assert_eq!(head(&bytes[..short]), Ok(None));
        }
    }

    #[test]
    fn names_of_headers_have_no_case_and_close_is_heard() {
        let found = head(b"HTTP/1.0 200 OK\r\ncontent-length:0\r\nCONNECTION: Close\r\n\r\n");
        assert!(found.unwrap().unwrap().closes);
    }

    #[test]
    fn no_body_where_none_can_be() {
        let found = head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!(found.length, 27);
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(chunked), Err(Malformed));
        assert_eq!(head(b"SSH-2.0-OpenSSH\r\n\r\n"), Err(Malformed));
        assert_eq!(head(b"HTTP/1.1 999 No\r\n\r\n"), Err(Malformed));
    }
}
