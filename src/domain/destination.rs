//! Destinations: the only URLs that Cupel ever redirects to.

use url::{Host, Url};

/// Longest destination in bytes, as it is stored.
pub const DESTINATION_BYTES_MAX: usize = 8192;

/// An http(s) URL without credentials, in its serialised form: what is stored is what is sent.
///
/// It may be *templated*: `{v1}`, `{v2}`, … in path, query or fragment are filled in at redirect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    text: Box<str>,
    slots: u8,
}

/// Why a URL cannot be a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// More than [`DESTINATION_BYTES_MAX`] bytes.
    #[error("is longer than {DESTINATION_BYTES_MAX} bytes")]
    TooLong,
    /// Control characters, line ends among them.
    #[error("contains a control character or a line break")]
    Control,
    /// Leading or trailing white space, or spaces inside.
    #[error("contains white space; write it as %20")]
    Space,
    /// A backslash, which browsers take for a slash and others do not.
    #[error("contains a backslash; write it as %5C")]
    Backslash,
    /// Not absolute, or not a URL at all.
    #[error("is not an absolute URL such as https://example.com/page")]
    NotAbsolute,
    /// A scheme that readers must not be sent to.
    #[error("has a scheme other than http and https")]
    Scheme,
    /// User name or password before the host.
    #[error("contains a user name or password")]
    Credentials,
    /// Slots that are not numbered from 1 without gaps.
    #[error("has slots that are not numbered {{v1}}, {{v2}} and so on")]
    Slots,
    /// No host, or a merge tag in it.
    #[error("has no usable host; merge tags are allowed in path, query and fragment only")]
    Host,
}

impl Destination {
    /// Parses what somebody wants to register.
    ///
    /// # Errors
    /// Says what about the URL is not acceptable.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        if text.len() > DESTINATION_BYTES_MAX {
            return Err(DestinationError::TooLong);
        }
        // The URL parser removes these silently; whoever sends them means something else.
        if text.chars().any(char::is_control) {
            return Err(DestinationError::Control);
        }
        if text.chars().any(char::is_whitespace) {
            return Err(DestinationError::Space);
        }
        if text.contains('\\') {
            return Err(DestinationError::Backslash);
        }
        let (slashes, url) = (text.split_once("://"), Url::parse(text));
        let (Some((scheme, after)), Ok(url)) = (slashes, url) else {
            return Err(match Url::parse(text) {
                Ok(url) if !matches!(url.scheme(), "http" | "https") => DestinationError::Scheme,
                _ => DestinationError::NotAbsolute,
            });
        };
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return Err(DestinationError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() || has_credentials(after) {
            return Err(DestinationError::Credentials);
        }
        if after.starts_with(['/', '\\']) || !usable_host(&url) {
            return Err(DestinationError::Host);
        }
        Self::from_url(text, url)
    }

    fn from_url(given: &str, url: Url) -> Result<Self, DestinationError> {
        let mut text = String::from(url);
        let slots = count_slots(given)?;
        // The parser encodes braces in paths; slots are kept readable in one form everywhere.
        for n in 1..=slots {
            text = text.replace(&format!("%7Bv{n}%7D"), &format!("{{v{n}}}"));
        }
        if text.len() > DESTINATION_BYTES_MAX {
            return Err(DestinationError::TooLong);
        }
        Ok(Self {
            text: text.into_boxed_str(),
            slots,
        })
    }

    /// A destination that this type wrote before: from store or catalogue, not from outside.
    #[must_use]
    pub fn stored(text: String) -> Self {
        let slots = count_slots(&text).unwrap_or(0);
        Self {
            text: text.into_boxed_str(),
            slots,
        }
    }

    /// The serialised URL, slots included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many values `?v1=…&v2=…` it takes; 0 for an ordinary destination.
    #[must_use]
    pub const fn slots(&self) -> u8 {
        self.slots
    }

    /// Scheme, host and port, as a Content-Security-Policy source wants them.
    #[must_use]
    pub fn origin(&self) -> String {
        Url::parse(&self.text)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default()
    }
}

fn has_credentials(after_slashes: &str) -> bool {
    let authority = after_slashes
        .split(['/', '\\', '?', '#'])
        .next()
        .unwrap_or_default();
    authority.contains('@')
}

/// Whether a host can be connected to and stand in a policy header: the URL standard lets names
/// contain `;`, `,`, quotes and merge tags.
#[must_use]
pub fn usable_host(url: &Url) -> bool {
    let letters = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    let host = match url.host() {
        Some(Host::Domain(name)) => name
            .strip_suffix('.')
            .unwrap_or(name)
            .split('.')
            .all(letters),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    };
    host && url.port() != Some(0)
}

/// How many slots a URL has; they are numbered from 1 without gaps.
fn count_slots(text: &str) -> Result<u8, DestinationError> {
    // Ten million are counted when a catalogue is loaded, and few have any.
    if !text.contains("{v") {
        return Ok(0);
    }
    let has = |n: &u8| text.contains(&format!("{{v{n}}}"));
    let slots = (1..=9).take_while(has).last().unwrap_or(0);
    if (slots + 1..=9).any(|n| has(&n)) {
        Err(DestinationError::Slots)
    } else {
        Ok(slots)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_and_https_are_kept_in_their_serialised_form() {
        for (given, kept) in [
            ("https://example.com", "https://example.com/"),
            (
                "HTTPS://EXAMPLE.com:443/a?b=%41#c",
                "https://example.com/a?b=%41#c",
            ),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080/x"),
            (
                "https://bücher.example/ä",
                "https://xn--bcher-kva.example/%C3%A4",
            ),
            ("https://a.example/?e={v1}", "https://a.example/?e={v1}"),
            (
                "https://a.example/p/{v1}/q?e={v2}",
                "https://a.example/p/{v1}/q?e={v2}",
            ),
        ] {
            let destination = Destination::parse(given).unwrap();
            assert_eq!(destination.as_str(), kept);
            assert_eq!(
                Destination::parse(kept),
                Ok(destination),
                "parse(serialise(x)) == x"
            );
        }
        assert_eq!(
            Destination::parse("https://a.example/{v1}?e={v2}")
                .unwrap()
                .slots(),
            2
        );
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        use DestinationError as E;
        for (given, why) in [
            ("javascript:alert(1)", E::Scheme),
            ("JaVaScRiPt:alert(1)", E::Scheme),
            ("javascript://example.com/%0aalert(1)", E::Scheme),
            ("data:text/html;base64,AAAA", E::Scheme),
            ("vbscript:x", E::Scheme),
            ("file:///etc/passwd", E::Scheme),
            ("ftp://example.com/", E::Scheme),
            ("mailto:a@example.com", E::Scheme),
            ("java\nscript:alert(1)", E::Control),
            ("\u{1}javascript:alert(1)", E::Control),
            (" https://example.com/", E::Space),
            ("https://example.com/a b", E::Space),
            ("https://example.com/\r\nSet-Cookie: a=b", E::Control),
            ("//evil.example/", E::NotAbsolute),
            ("/\\evil.example", E::Backslash),
            ("https://a.example\\@evil.example/", E::Backslash),
            ("/path", E::NotAbsolute),
            ("", E::NotAbsolute),
            ("https:evil.example", E::NotAbsolute),
            ("https:/evil.example", E::NotAbsolute),
            ("https:///evil.example", E::Host),
            ("https://user:pass@example.com/", E::Credentials),
            ("https://@example.com/", E::Credentials),
            ("https://example.com:0x/", E::NotAbsolute),
            ("https://example.com:0/", E::Host),
            ("https://a;sandbox.example/", E::Host),
            ("https://a,b.example/", E::Host),
            ("https://a..example/", E::Host),
            ("https://a.example/{v2}", E::Slots),
            ("https://a.example/{v1}/{v3}", E::Slots),
            ("https://", E::NotAbsolute),
        ] {
            assert_eq!(Destination::parse(given), Err(why), "{given:?}");
        }
        let long = format!("https://example.com/{}", "a".repeat(64 << 10));
        assert_eq!(Destination::parse(&long), Err(E::TooLong));
    }
}
