//! Reaching a data directory: through its server's control socket, or alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_web::rt;
use serde_json::Value;

use crate::app::DirectoryLock;
use crate::clock::Clock;
use crate::store::Store;

use super::Failure;

/// Where a command works.
#[derive(Debug, clap::Args)]
pub(super) struct Local {
    /// Data directory of the server
    #[arg(long, env = "CUPEL_DATA", value_name = "DIR", default_value = "data")]
    pub(super) data: PathBuf,
}

impl Local {
    /// Sends a request to the server of this directory; `None` if none runs.
    pub(super) fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        let socket = self.data.join("control.sock");
        if std::os::unix::net::UnixStream::connect(&socket).is_err() {
            return Ok(None);
        }
        let failed = |error: reqwest::Error| {
            Failure::new(
                Failure::UNAVAILABLE,
                format!("{}: {error}", socket.display()),
            )
        };
        let client = reqwest::blocking::Client::builder()
            .unix_socket(socket.as_path())
            .timeout(Duration::from_secs(30))
            .build()
            .map_err(failed)?;
        let method = reqwest::Method::from_bytes(method.as_bytes())
            .map_err(|error| Failure::new(Failure::SOFTWARE, error))?;
        let mut request = client.request(method, format!("http://localhost/api/v1{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().map_err(failed)?;
        let status = answer.status();
        let value: Value = answer.json().map_err(failed)?;
        if status.is_success() {
            return Ok(Some(value));
        }
        let detail = value
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or("refused");
        Err(Failure::new(Failure::DATA, detail))
    }

    /// The directory, which must exist already.
    pub(super) fn existing(&self) -> Result<&Path, Failure> {
        if !self.data.is_dir() {
            let shown = self.data.display();
            let line = format!("{shown} does not exist; name the server's directory with --data");
            return Err(Failure::new(Failure::CONFIGURATION, line));
        }
        Ok(&self.data)
    }

    /// Takes the directory for this process alone; it must exist already.
    pub(super) fn lock(&self) -> Result<DirectoryLock, Failure> {
        Ok(DirectoryLock::take(self.existing()?)?)
    }

    /// Does something with the store of this directory, which must be locked.
    pub(super) fn with_store<T>(
        data: &Path,
        act: impl AsyncFnOnce(&Store) -> Result<T, crate::store::StoreError>,
    ) -> Result<T, Failure> {
        rt::System::new().block_on(async {
            let unavailable = |error| Failure::new(Failure::UNAVAILABLE, error);
            let store = Store::open(data, Clock.now()).await.map_err(unavailable)?;
            let done = act(&store).await;
            store.close().await;
            done.map_err(unavailable)
        })
    }
}
