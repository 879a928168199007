//! The form of the key ring on disk: TOML, and a checksum in a comment behind it. A digit that has
//! flipped would be another key, and every link that was signed with the right one dead.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::domain::keys::{KeyState, RingKey, Secret};

/// What the checksum stands behind, at the end of the file.
const CHECKSUM: &str = "# crc32c ";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    recipient_secret: String,
    id_secret: String,
    key: Vec<WrittenKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: u8,
    state: KeyState,
    secret: String,
}

/// Text of a ring: its keys, the recipient secret, the secret of ids.
pub(super) fn write(keys: &[RingKey], recipient: &Secret, ids: &Secret) -> Result<String, String> {
    let written = Written {
        recipient_secret: HEXLOWER.encode(recipient.expose()),
        id_secret: HEXLOWER.encode(ids.expose()),
        key: keys
            .iter()
            .map(|key| WrittenKey {
                id: key.id,
                state: key.state,
                secret: HEXLOWER.encode(key.secret.expose()),
            })
            .collect(),
    };
    let text = toml::to_string(&written).map_err(|error| error.to_string())?;
    let sum = crc32c::crc32c(text.as_bytes());
    Ok(format!("{text}{CHECKSUM}{sum:08x}\n"))
}

/// Reads it back, or says what is wrong. One without a checksum was written by hand, or before
/// there was one.
pub(super) fn parse(text: &str) -> Result<(Vec<RingKey>, Secret, Secret), String> {
    if let Some((before, sum)) = text.rsplit_once(CHECKSUM) {
        let right = format!("{:08x}", crc32c::crc32c(before.as_bytes()));
        if sum.trim_end() != right {
            return Err("is damaged: its checksum is wrong".to_owned());
        }
    }
    let written: Written =
        toml::from_str(text).map_err(|error| error.message().replace('\n', " "))?;
    let secret = |text: &str, name: &str| {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes
            .map(Secret::new)
            .ok_or_else(|| format!("{name} is not 64 hex digits"))
    };
    let mut keys = Vec::with_capacity(written.key.len());
    for key in &written.key {
        if keys.iter().any(|before: &RingKey| before.id == key.id) {
            return Err(format!("key {} stands twice", key.id));
        }
        let secret = secret(&key.secret, &format!("the secret of key {}", key.id))?;
        keys.push(RingKey {
            id: key.id,
            state: key.state,
            secret,
        });
    }
    if keys
        .iter()
        .filter(|key| key.state == KeyState::Signing)
        .count()
        != 1
    {
        return Err("not exactly one key is \"signing\"".to_owned());
    }
    let recipient = secret(&written.recipient_secret, "recipient_secret")?;
    let ids = secret(&written.id_secret, "id_secret")?;
    Ok((keys, recipient, ids))
}
