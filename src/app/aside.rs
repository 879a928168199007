//! Reading that may hang, as on a mount that has gone: on a thread of its own, which a stop leaves
//! behind. For one of its own tokio would wait when its runtime ends.

use std::panic::resume_unwind;
use std::thread::Builder;
use std::time::Duration;

use actix_web::rt;

use crate::shutdown::Stop;

use super::watched::AskWhenDropped;

/// After this long it is said that reading takes long.
const LONG: Duration = Duration::from_secs(5);

/// Reads `what`, and waits until that is done or everything is to stop: what it gave, or `None`.
/// A panic of it is a panic here.
pub(super) async fn read_aside<T: Send + 'static>(
    what: &str,
    stop: &Stop,
    read: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let over = Stop::default();
    let ends = AskWhenDropped(over.clone());
    let begun = Builder::new().name("aside".to_owned()).spawn(move || {
        let _ends = ends;
        read()
    });
    let thread = match begun {
        Ok(thread) => thread,
        Err(error) => {
            tracing::error!(%error, "app: cannot begin to read {what}");
            return None;
        }
    };
    let done = async {
        if rt::time::timeout(LONG, over.wait()).await.is_err() {
            tracing::warn!("app: reading {what} takes long; what was read before stays in force");
            over.wait().await;
            tracing::info!("app: reading {what} is over");
        }
    };
    tokio::select! {
        () = done => {}
        () = stop.wait() => return None,
    }
    match thread.join() {
        Ok(read) => Some(read),
        Err(panic) => resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_hangs_is_left_behind_by_a_stop_and_no_runtime_waits_for_it() {
        let (end, ended) = sync_channel::<()>(0);
        let stop = Stop::default();
        rt::System::new().block_on(async {
            assert_eq!(read_aside("a file", &stop, || 1).await, Some(1));
            let asks = stop.clone();
            let hangs = move || {
                asks.ask();
                ended.recv().unwrap();
            };
            assert_eq!(read_aside("a mount", &stop, hangs).await, None);
        });
        end.send(()).unwrap();
    }

    #[test]
    fn what_panics_does_so_where_it_is_waited_for() {
        let task = rt::System::new().block_on(async {
            rt::spawn(async {
                let read = || -> u8 { panic!("of a test") };
                read_aside("a file", &Stop::default(), read).await
            })
            .await
        });
        assert!(task.unwrap_err().is_panic());
    }
}
