//! What is asked: the bytes of request number `id`, and two header sets to make them of.

/// Gives the bytes of each request. Closures are requests: `|id, into| …`.
pub trait Requests: Send + Sync {
    /// Appends request number `id`, whole, to `into`, which is empty. Not HEAD: its answer has no
    /// body whatever its length says.
    fn write(&self, id: u64, into: &mut Vec<u8>);
}

impl<F: Fn(u64, &mut Vec<u8>) + Send + Sync> Requests for F {
    fn write(&self, id: u64, into: &mut Vec<u8>) {
        self(id, into);
    }
}

/// Headers in the order in which they are sent, without `Host`.
pub type Headers = &'static [(&'static str, &'static str)];

/// A desktop Chrome, as it calls itself.
pub const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                          Chrome/156.0.0.0 Safari/537.36";

/// What Chromium 156 sent when a person clicked a link on a page of another site, which is how a
/// click from webmail comes: recorded headful over HTTP/1.1, in this order. Two things are not as
/// recorded: the referring site has the name of a webmail, and `Host` is left to the caller.
pub const BROWSER: Headers = &[
    ("Connection", "keep-alive"),
    (
        "sec-ch-ua",
        "\"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"",
    ),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", "\"Linux\""),
    ("Upgrade-Insecure-Requests", "1"),
    ("User-Agent", CHROME),
    (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/avif,image/webp,\
         image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
    ),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Referer", "https://webmail.example/"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-US,en;q=0.9"),
];

/// The least that passes for a browser: what benchmarks usually send, and readers never do.
pub const PLAIN: Headers = &[("User-Agent", CHROME), ("Accept", "*/*")];

/// The bytes of a GET.
#[must_use]
pub fn get(host: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// Made once, sent in turn.
#[derive(Clone, Debug)]
pub struct Rotating {
    requests: Vec<Vec<u8>>,
}

impl Rotating {
    /// GETs of these paths, each with the same headers; `None` without a path.
    #[must_use]
    pub fn new(host: &str, paths: &[String], headers: Headers) -> Option<Self> {
        let requests = paths.iter().map(|path| get(host, path, headers)).collect();
        (!paths.is_empty()).then_some(Self { requests })
    }
}

impl Requests for Rotating {
    fn write(&self, id: u64, into: &mut Vec<u8>) {
        let turn = id % self.requests.len().max(1) as u64;
        let turn = usize::try_from(turn).unwrap_or(0);
        if let Some(request) = self.requests.get(turn) {
            into.extend_from_slice(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_is_what_a_browser_sends() {
        let bytes = get("t.example", "/c/abc/1", BROWSER);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.starts_with("GET /c/abc/1 HTTP/1.1\r\nHost: t.example\r\nConnection: "));
        assert!(text.ends_with("Accept-Language: en-US,en;q=0.9\r\n\r\n"));
        assert_eq!(text.lines().count(), 1 + 15 + 1);
    }

    #[test]
    fn requests_come_in_turn() {
        let paths = ["/a".to_owned(), "/b".to_owned()];
        let requests = Rotating::new("h", &paths, PLAIN).unwrap();
        let mut bytes = Vec::new();
        (0..3).for_each(|id| requests.write(id, &mut bytes));
        let text = String::from_utf8(bytes).unwrap();
        let asked: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("GET"))
            .collect();
        assert_eq!(
            asked,
            ["GET /a HTTP/1.1", "GET /b HTTP/1.1", "GET /a HTTP/1.1"]
        );
        assert!(Rotating::new("h", &[], PLAIN).is_none());
    }
}
