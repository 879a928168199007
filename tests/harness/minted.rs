//! Tokens as minting gives them, and as mail programs break them.

use serde_json::Value;

/// What minting gave for one recipient.
#[derive(Clone, Debug)]
pub struct Minted {
    pub recipient: String,
    pub message: String,
    pub token: String,
    pub acts: Value,
    pub json: Value,
}

impl Minted {
    pub fn act(&self, number: u64) -> &str {
        self.acts[number.to_string()].as_str().unwrap()
    }
}

/// A token with another character at one place.
pub fn damaged(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}
