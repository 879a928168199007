//! Where abuse is reported, as pages and security.txt write it.

use serde::Serialize;
use url::Url;

/// A contact of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Contact {
    /// What readers see.
    text: String,
    /// Where it leads: `mailto:`, `https:`, `http:` or `tel:`; `None` for anything else, which is
    /// text and nothing more.
    href: Option<String>,
}

impl Contact {
    /// What the configuration names, if it names anything: an address, a URL or some words.
    pub(super) fn of(written: &str) -> Option<Self> {
        let written = written.trim();
        if written.is_empty() {
            return None;
        }
        let link = if is_address(written) {
            format!("mailto:{written}")
        } else {
            written.to_owned()
        };
        let (scheme, rest) = link.split_once(':').unwrap_or_default();
        let bare = rest.split('?').next().unwrap_or(rest);
        let (text, leads) = match scheme.to_ascii_lowercase().as_str() {
            "mailto" => (bare, is_address(bare)),
            "tel" => (bare, is_number(bare)),
            "https" | "http" => (written, true),
            _ => (written, false),
        };
        let url = Url::parse(&link).ok().filter(|_| leads);
        let text = if url.is_some() { text } else { written };
        Some(Self {
            text: text.to_owned(),
            href: url.map(String::from),
        })
    }

    /// As RFC 9116 takes it; web addresses by https alone.
    pub(super) fn for_security_txt(&self) -> Option<&str> {
        let taken = ["mailto:", "https:", "tel:"];
        let href = self.href.as_deref();
        href.filter(|href| taken.iter().any(|scheme| href.starts_with(scheme)))
    }
}

/// Whether these are the signs of an e-mail address, none of which means anything in a URL.
fn is_address(written: &str) -> bool {
    let plain =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "@.!$'*+/=^_`{|}~-".contains(c);
    let (local, host) = written.rsplit_once('@').unwrap_or_default();
    !local.is_empty()
        && !host.is_empty()
        && written
            .chars()
            .all(|c| plain(c) && !c.is_whitespace() && !c.is_control())
}

/// Whether this is a telephone number by RFC 3966.
fn is_number(written: &str) -> bool {
    written.contains(|c: char| c.is_ascii_digit())
        && written
            .chars()
            .all(|c| c.is_ascii_digit() || "+-.()".contains(c))
}

#[cfg(test)]
mod tests {
    use super::Contact;

    #[test]
    fn contacts_lead_where_they_can() {
        for (written, text, href, security) in [
            (
                "abuse@a.example",
                "abuse@a.example",
                Some("mailto:abuse@a.example"),
                true,
            ),
            (
                " a+b@a.example ",
                "a+b@a.example",
                Some("mailto:a+b@a.example"),
                true,
            ),
            (
                "mailto:a@a.example?subject=x",
                "a@a.example",
                Some("mailto:a@a.example?subject=x"),
                true,
            ),
            (
                "https://a.example/abuse",
                "https://a.example/abuse",
                Some("https://a.example/abuse"),
                true,
            ),
            (
                "HTTPS://a.example",
                "HTTPS://a.example",
                Some("https://a.example/"),
                true,
            ),
            (
                "http://a.example/",
                "http://a.example/",
                Some("http://a.example/"),
                false,
            ),
            (
                "mailto:a\"b@a.example",
                "mailto:a\"b@a.example",
                None,
                false,
            ),
            ("tel:+49-30-1", "+49-30-1", Some("tel:+49-30-1"), true),
            ("javascript:alert(1)", "javascript:alert(1)", None, false),
            ("tel:", "tel:", None, false),
            ("data:text/html,x", "data:text/html,x", None, false),
            ("https://", "https://", None, false),
            ("a@b@", "a@b@", None, false),
            ("@a.example", "@a.example", None, false),
            ("a b@a.example", "a b@a.example", None, false),
            ("a?b@a.example", "a?b@a.example", None, false),
            ("the desk in hall 3", "the desk in hall 3", None, false),
        ] {
            let contact = Contact::of(written).unwrap();
            assert_eq!(
                (contact.text.as_str(), contact.href.as_deref()),
                (text, href),
                "{written}"
            );
            assert_eq!(contact.for_security_txt().is_some(), security, "{written}");
        }
        assert_eq!(Contact::of(" "), None);
        for written in [
            "mailto:a@a.example\nContact: x",
            "tel:1\nContact: x",
            "https://a.example/\nContact: x",
        ] {
            let contact = Contact::of(written).unwrap();
            let line = contact.for_security_txt().unwrap_or_default();
            assert!(
                !line.contains(['\n', ' ', '"']),
                "one line is one line: {line:?}"
            );
        }
    }
}
