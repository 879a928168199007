//! Answers to an ACME authority that looks on port 80 whether a host leads here (RFC 8555, 8.3).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Where the authority looks.
pub(super) const PATH: &str = "/.well-known/acme-challenge/";

/// Answers by token, for as long as an order runs.
#[derive(Debug, Default)]
pub struct AcmeAnswers(Mutex<HashMap<String, String>>);

impl AcmeAnswers {
    /// Answers a token from now on.
    pub fn remember(&self, token: &str, answer: &str) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.insert(token.to_owned(), answer.to_owned());
    }

    /// The order has ended.
    pub fn forget(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub(super) fn of(&self, token: &str) -> Option<String> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(token).cloned()
    }
}
