//! Parts that never end before they are told to: when one does, by a panic too, everything is asked
//! to stop, and the server says so with its exit code.

use std::thread::JoinHandle;

use crate::shutdown::Stop;

/// Asks everything to stop when it is dropped.
pub(super) struct AskWhenDropped(pub(super) Stop);

impl Drop for AskWhenDropped {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// Runs a task; its end is the end of `all`.
pub(super) async fn with_all<T>(part: impl Future<Output = T>, all: Stop) -> T {
    let _asked = AskWhenDropped(all);
    part.await
}

/// A thread that works until it is told to stop.
pub(super) struct Thread {
    stop: Stop,
    handle: JoinHandle<()>,
}

impl Thread {
    /// Starts one; its end is the end of `all`.
    pub(super) fn start(
        name: &str,
        all: &Stop,
        work: impl FnOnce(&Stop) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, all) = (Stop::default(), all.clone());
        let told = stop.clone();
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let _asked = AskWhenDropped(all);
                work(&told);
            })?;
        Ok(Self { stop, handle })
    }

    /// Tells it to stop, and waits until it has.
    ///
    /// # Errors
    /// It had died.
    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.stop.ask();
        let name = self.handle.thread().name().unwrap_or_default().to_owned();
        let ended = self.handle.join();
        ended.map_err(|_| anyhow::anyhow!("the thread {name} had died; its last words are above"))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::rt;

    use super::*;

    #[test]
    fn a_part_that_dies_ends_all_and_is_not_taken_for_one_that_has_stopped() {
        let all = Stop::default();
        let thread = Thread::start("short-lived", &all, |_| panic!("of a test")).unwrap();
        rt::System::new().block_on(all.wait());
        let error = thread.stop().unwrap_err().to_string();
        assert!(error.contains("short-lived had died"), "{error}");

        let all = Stop::default();
        rt::System::new().block_on(async {
            let task = rt::spawn(with_all(async { panic!("of a test") }, all.clone()));
            all.wait().await;
            let ended: Result<(), _> = task.await;
            assert!(ended.unwrap_err().is_panic());
        });
    }

    #[test]
    fn a_thread_that_is_told_to_stop_has_not_died() {
        let all = Stop::default();
        let wait = |told: &Stop| rt::System::new().block_on(told.wait());
        let thread = Thread::start("patient", &all, wait).unwrap();
        assert!(thread.stop().is_ok());
    }
}
