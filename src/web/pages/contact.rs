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

/// Whether this reads as an e-mail address, with no sign in it that means anything in a URL or
/// hides from the eye.
fn is_address(written: &str) -> bool {
    let (local, host) = written.rsplit_once('@').unwrap_or_default();
    let plain = |c: char| c.is_alphanumeric() || "@.!$'*+/=^_`{|}~-".contains(c);
    !local.is_empty() && !host.is_empty() && written.chars().all(plain)
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
    fn contacts_lead_where_they_say() {
        for (written, text, href) in [
            ("a@a.example", "a@a.example", "mailto:a@a.example"),
            (" a+b@a.example ", "a+b@a.example", "mailto:a+b@a.example"),
            ("mailto:a@a.example", "a@a.example", "mailto:a@a.example"),
            ("Mailto:a@b?subject=x y", "a@b", "mailto:a@b?subject=x%20y"),
            (
                "https://a.example",
                "https://a.example",
                "https://a.example/",
            ),
            (
                "HTTP://a.example/",
                "HTTP://a.example/",
                "http://a.example/",
            ),
            ("tel:+49-30-1", "+49-30-1", "tel:+49-30-1"),
        ] {
            let contact = Contact::of(written).unwrap();
            assert_eq!(contact.text, text, "{written}");
            assert_eq!(contact.href.as_deref(), Some(href), "{written}");
            let for_security = (!href.starts_with("http:")).then_some(href);
            assert_eq!(contact.for_security_txt(), for_security, "{written}");
        }
        assert_eq!(Contact::of(" "), None);
    }

    #[test]
    fn what_leads_nowhere_is_text() {
        for written in [
            "the desk in hall 3",
            "javascript:alert(1)",
            "javascript:alert(1)//@a.example",
            "data:text/html,x",
            "https://",
            "a@b@",
            "@a.example",
            "a b@a.example",
            "a?b@a.example",
            "mailto:a\"b@a.example",
            "mailto:a@a.example\nContact: x",
            "\u{202e}a@a.example",
            "tel:",
            "tel:1\nContact: x",
        ] {
            let contact = Contact::of(written).unwrap();
            assert_eq!(contact.text, written);
            assert_eq!(contact.href, None, "{written}");
        }
        let folded = Contact::of("https://a.example/\nContact: x").unwrap();
        let line = folded.for_security_txt().unwrap();
        assert!(
            !line.contains(['\n', ' ']),
            "one line is one line: {line:?}"
        );
    }
}
