//! A server for one command, on a directory that none serves: the control socket and nothing that
//! the network could reach. Commands so have one way to do things, whether a server runs or not.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::rt;

use crate::config::Config;
use crate::listen::Listeners;
use crate::shutdown::Stop;

use super::directory::COMMAND_SOCKET;
use super::{App, DirectoryLock};

/// How often a server that starts is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A server of this process, for as long as it is kept.
#[derive(Debug)]
pub struct Alone {
    socket: PathBuf,
    stop: Stop,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Alone {
    /// Starts it, and returns once its socket takes connections.
    ///
    /// # Errors
    /// Keys, journal or tables of the directory cannot be used.
    pub fn start(config: Config, lock: DirectoryLock) -> anyhow::Result<Self> {
        let socket = config.data.join(COMMAND_SOCKET);
        let stop = Stop::default();
        let asked = stop.clone();
        let thread = std::thread::Builder::new()
            .name("alone".to_owned())
            .spawn(move || {
                rt::System::new().block_on(async {
                    let app = App::build(config, lock, Listeners::default(), None).await?;
                    app.serve(asked, || {}).await
                })
            })?;
        let mut alone = Self {
            socket,
            stop,
            thread: Some(thread),
        };
        while UnixStream::connect(&alone.socket).is_err() {
            if alone.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                alone.end()?;
                anyhow::bail!("{} cannot be made", alone.socket.display());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(alone)
    }

    /// The file of its socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Stops it in order, as a server stops.
    fn end(&mut self) -> anyhow::Result<()> {
        self.stop.ask();
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        let ended = thread.join();
        ended.unwrap_or_else(|_| Err(anyhow::anyhow!("the directory's own server died")))
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            tracing::error!(%error, "app: the command's own server did not stop in order");
        }
    }
}
