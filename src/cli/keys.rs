//! `cupel keys`: API keys, and the ring of keys that sign tokens.

use serde_json::{Value, json};

use crate::app::{DirectoryLock, open_key_ring};
use crate::clock::Clock;
use crate::domain::keys::KeyState;
use crate::resolve::{KeyRing, KeyRingError};
use crate::store::Scope;
use crate::web::NewKey;

use super::Failure;
use super::local::Local;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Keys {
    /// Make an API key and print it, alone, on standard output
    ///
    /// Example: cupel keys create --data /var/lib/cupel --name newsletter --scope mint
    Create {
        #[command(flatten)]
        local: Local,
        /// A name for people
        #[arg(long)]
        name: String,
        /// mint, read or admin
        #[arg(long, value_parser = scope)]
        scope: Scope,
    },
    /// List the keys that sign and verify tokens
    ///
    /// Example: cupel keys ring --data /var/lib/cupel
    Ring {
        #[command(flatten)]
        local: Local,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a key that signs from now on; the one before goes on verifying
    ///
    /// Example: cupel keys rotate --data /var/lib/cupel
    Rotate {
        #[command(flatten)]
        local: Local,
    },
    /// Retire a key: confirm and login links signed by it ask for a new mail
    ///
    /// Example: cupel keys retire --data /var/lib/cupel 1
    Retire {
        #[command(flatten)]
        local: Local,
        /// Number of the key
        id: u8,
    },
    /// Revoke a key that was given away: links go on, nothing is counted for a message
    ///
    /// Example: cupel keys revoke --data /var/lib/cupel 1
    Revoke {
        #[command(flatten)]
        local: Local,
        /// Number of the key
        id: u8,
    },
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| "write mint, read or admin".to_owned())
}

impl Keys {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Create { local, name, scope } => create(&local, &name, scope),
            Self::Ring { local, json } => {
                let ring = match local.call("GET", "/key-ring", None)? {
                    Some(ring) => ring,
                    None => alone(&local, |_| Ok(()))?,
                };
                print_ring(&ring, json);
                Ok(())
            }
            Self::Rotate { local } => {
                let ring = match local.call("POST", "/key-ring/rotate", None)? {
                    Some(ring) => ring,
                    None => alone(&local, |ring| ring.rotate().map(|_| ()))?,
                };
                print_ring(&ring, false);
                Ok(())
            }
            Self::Retire { local, id } => set_state(&local, id, KeyState::Aged),
            Self::Revoke { local, id } => set_state(&local, id, KeyState::Revoked),
        }
    }
}

fn create(local: &Local, name: &str, scope: Scope) -> Result<(), Failure> {
    let asked = json!({"name": name, "scope": scope});
    if let Some(made) = local.call("POST", "/keys", Some(&asked))? {
        let key = made.get("key").and_then(Value::as_str).unwrap_or_default();
        println!("{key}");
        return Ok(());
    }
    let _lock = DirectoryLock::take(&local.data)?;
    // A directory gets its keys before its store: later the server would miss them.
    open_key_ring(&local.data).map_err(|error| Failure::new(Failure::CONFIGURATION, error))?;
    let key = NewKey::random().map_err(|error| Failure::new(Failure::SOFTWARE, error))?;
    Local::with_store(&local.data, async |store| {
        store
            .create_api_key(name, scope, &key.hash(), Clock.now())
            .await
    })?;
    println!("{}", key.text());
    Ok(())
}

fn set_state(local: &Local, id: u8, state: KeyState) -> Result<(), Failure> {
    let asked = json!({"state": state});
    let ring = match local.call("PATCH", &format!("/key-ring/{id}"), Some(&asked))? {
        Some(ring) => ring,
        None => alone(local, |ring| ring.set_state(id, state))?,
    };
    print_ring(&ring, false);
    Ok(())
}

/// Changes the ring of a directory without a server.
fn alone(
    local: &Local,
    change: impl FnOnce(&mut KeyRing) -> Result<(), KeyRingError>,
) -> Result<Value, Failure> {
    let _lock = local.lock()?;
    let opened = open_key_ring(&local.data);
    let mut ring = opened.map_err(|error| Failure::new(Failure::CONFIGURATION, error))?;
    change(&mut ring).map_err(|error| Failure::new(Failure::DATA, error))?;
    let keys: Vec<_> = ring
        .keys()
        .map(|(id, state)| json!({"id": id, "state": state}))
        .collect();
    Ok(json!({"keys": keys}))
}

fn print_ring(ring: &Value, json: bool) {
    if json {
        println!("{ring}");
        return;
    }
    let keys = ring.get("keys").and_then(Value::as_array);
    println!("key  state");
    for key in keys.into_iter().flatten() {
        let id = key.get("id").and_then(Value::as_u64).unwrap_or_default();
        let state = key.get("state").and_then(Value::as_str).unwrap_or_default();
        println!("{id:>3}  {state}");
    }
}
