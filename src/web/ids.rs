//! Ids of agent strings and header sets: hashes under the installation's key, so that nobody can
//! make two texts meet, and two installations do not name the same reader alike.

use std::cell::RefCell;

use actix_web::http::header::{self, HeaderName};
use siphasher::sip::SipHasher13;

use crate::judge::Headers;

/// Names that no rule reads and nearly every request has: their hashes are made ahead.
const COMMON: [HeaderName; 10] = [
    header::HOST,
    header::CONNECTION,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::REFERER,
    header::COOKIE,
    header::TE,
    header::VIA,
    header::FORWARDED,
    header::IF_NONE_MATCH,
];

/// Makes the ids of one worker.
pub(super) struct Ids {
    hasher: SipHasher13,
    /// Hashes of [`Headers::NAMES`].
    read: Vec<u64>,
    common: Vec<(HeaderName, u64)>,
    scratch: RefCell<Vec<u8>>,
}

impl Ids {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let hasher = SipHasher13::new_with_key(key);
        let of = |name: &str| hasher.hash(name.as_bytes()).max(1);
        Self {
            read: Headers::NAMES.iter().map(|name| of(name)).collect(),
            common: COMMON.map(|name| (name.clone(), of(name.as_str()))).into(),
            scratch: RefCell::default(),
            hasher,
        }
    }

    /// Id of the agent string; 0 where none was sent.
    pub(super) fn of_agent(&self, headers: &Headers<'_>) -> u64 {
        let agent = headers.user_agent;
        agent.map_or(0, |agent| self.hasher.hash(agent).max(1))
    }

    /// Hash of a name that no rule reads.
    pub(super) fn of_name(&self, name: &HeaderName) -> u64 {
        let known = self.common.iter().find(|(common, _)| common == name);
        match known {
            Some((_, hash)) => *hash,
            None => self.hasher.hash(name.as_str().as_bytes()).max(1),
        }
    }

    /// Id of the header set: names, and the values that rules read, but the agent string, which
    /// has an id of its own. The names' hashes are added up, since the order in which they came
    /// is not known by now; `other_names` is that sum over the names that no rule reads.
    pub(super) fn of_headers(&self, headers: &Headers<'_>, other_names: u64) -> u64 {
        let mut bytes = self.scratch.borrow_mut();
        bytes.clear();
        let mut names = other_names;
        let sent = headers.values().into_iter().zip(&self.read).zip(0_u8..);
        for ((value, hash), number) in sent {
            let Some(value) = value else { continue };
            names = names.wrapping_add(*hash);
            if number > 0 {
                bytes.extend_from_slice(&[number, 0xff]);
                bytes.extend_from_slice(value);
            }
        }
        bytes.extend_from_slice(&names.to_le_bytes());
        self.hasher.hash(&bytes).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_values_and_names_apart_and_nothing_else() {
        assert_eq!(Headers::NAMES[0], "user-agent", "whose value is left out");
        let ids = Ids::new(&[7; 16]);
        let id = |sent: &[(&'static str, &'static str)]| {
            let mut headers = Headers::default();
            let mut others = 0_u64;
            for (name, value) in sent {
                if !headers.set(name, value.as_bytes()) {
                    others = others.wrapping_add(ids.of_name(&HeaderName::from_static(name)));
                }
            }
            (ids.of_agent(&headers), ids.of_headers(&headers, others))
        };
        let plain = id(&[("host", "a"), ("accept", "*/*"), ("user-agent", "x")]);
        let turned = id(&[("user-agent", "x"), ("accept", "*/*"), ("host", "b")]);
        assert_eq!(plain, turned, "order and unread values");
        let other_agent = id(&[("host", "a"), ("accept", "*/*"), ("user-agent", "y")]);
        assert!(plain.0 != other_agent.0 && plain.1 == other_agent.1);
        for different in [
            id(&[("accept", "*/*"), ("user-agent", "x")]),
            id(&[("host", "a"), ("accept", "*"), ("user-agent", "x")]),
            id(&[("host", "a"), ("dnt", "*/*"), ("user-agent", "x")]),
            id(&[("x-odd", "a"), ("accept", "*/*"), ("user-agent", "x")]),
            id(&[("host", "a"), ("accept", "*/*")]),
        ] {
            assert_ne!(plain.1, different.1);
        }
        assert_eq!(id(&[]).0, 0);
    }
}
