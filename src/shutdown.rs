//! One stop signal, passed down to whoever runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Tells everything that runs to stop, once.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(watch::channel(false).0))
    }
}

impl Stop {
    /// Asks everything to stop.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    /// Whether it was asked for.
    #[must_use]
    pub fn asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for so long, or until it is asked for.
    pub async fn wait_for(&self, time: Duration) {
        let over = tokio::time::timeout(time, self.wait()).await;
        tracing::trace!(stopped = over.is_ok(), "shutdown: waited");
    }

    /// Waits until it is asked for.
    pub async fn wait(&self) {
        let mut stop = self.0.subscribe();
        // An error means that the sender is gone, and with it the server.
        if stop.wait_for(|asked| *asked).await.is_err() {
            tracing::debug!("shutdown: the last owner of the stop signal has gone");
        }
    }
}
