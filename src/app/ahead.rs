//! What a command does beside its main thread: several calls at once, and hearing an interruption.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use actix_web::rt;
use actix_web::rt::signal::unix::{SignalKind, signal};

use crate::shutdown::Stop;

/// What a shell says of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// How long work that was begun is waited for after a stop: a server may hang.
const LAST_WORK_MAX: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Works on up to `ahead` inputs at once, each on a thread of its own, and takes what comes of
/// them in the order of the inputs, until `next` has no more. After a stop, which an error of
/// `take` is too, work that is late is left to itself, and ends with the process.
///
/// # Errors
/// What `next` or `take` refused, or that no thread can be made. When it was not `take`, everything
/// before was taken all the same.
pub fn in_order<I: Send + 'static, O: Send + 'static, E: From<anyhow::Error>>(
    ahead: usize,
    stop: &Stop,
    mut next: impl FnMut() -> Result<Option<I>, E>,
    work: impl Fn(I) -> O + Clone + Send + 'static,
    mut take: impl FnMut(O) -> Result<(), E>,
) -> Result<(), E> {
    let mut running = VecDeque::new();
    let mut ended = Ok(());
    let mut more = true;
    loop {
        while more && running.len() < ahead.max(1) {
            let begun = next().and_then(|input| {
                let begin = |input| Running::begin(work.clone(), input);
                input.map(begin).transpose().map_err(E::from)
            });
            match begun {
                Ok(Some(begun)) => running.push_back(begun),
                Ok(None) => more = false,
                Err(error) => {
                    ended = Err(error);
                    more = false;
                }
            }
        }
        let Some(made) = running.pop_front().and_then(|first| first.wait(stop)) else {
            return ended;
        };
        if let Err(error) = take(made) {
            stop.ask();
            running.into_iter().for_each(|late| drop(late.wait(stop)));
            return Err(error);
        }
    }
}

/// Work on an input, on a thread of its own.
struct Running<O> {
    thread: JoinHandle<()>,
    made: Receiver<O>,
}

impl<O: Send + 'static> Running<O> {
    fn begin<I: Send + 'static>(
        work: impl FnOnce(I) -> O + Send + 'static,
        input: I,
    ) -> anyhow::Result<Self> {
        let (say, made) = sync_channel(1);
        let thread = Builder::new().name("ahead".to_owned()).spawn(move || {
            // What the work holds is let go of before anybody hears of its end.
            let made = work(input);
            drop(say.send(made));
        })?;
        Ok(Self { thread, made })
    }

    /// What came of it; `None` if it is late after a stop.
    fn wait(self, stop: &Stop) -> Option<O> {
        let mut until = None;
        loop {
            match self.made.recv_timeout(LOOK_EVERY) {
                Ok(made) => return Some(made),
                Err(RecvTimeoutError::Disconnected) => {
                    let panic = self.thread.join().err()?;
                    std::panic::resume_unwind(panic)
                }
                Err(RecvTimeoutError::Timeout) if stop.asked() => {
                    let until = *until.get_or_insert_with(|| Instant::now() + LAST_WORK_MAX);
                    if Instant::now() >= until {
                        return None;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Hears SIGINT and SIGTERM for a command that ends at a good place when it is asked to; the second
/// one ends the process at once. Its thread ends with the process.
///
/// # Errors
/// No thread can be made.
pub fn stop_when_interrupted() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let asked = stop.clone();
    Builder::new()
        .name("signals".to_owned())
        .spawn(move || rt::System::new().block_on(interrupted(asked)))?;
    Ok(stop)
}

async fn interrupted(stop: Stop) {
    let terminate = signal(SignalKind::terminate());
    let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, signal(SignalKind::interrupt()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop.asked() {
            std::process::exit(INTERRUPTED);
        }
        stop.ask();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_taken_in_order_before_an_error_is_told() {
        let mut inputs = 0..;
        let mut taken = Vec::new();
        let ended = in_order(
            3,
            &Stop::default(),
            || match inputs.next() {
                Some(7) => Err(anyhow::anyhow!("seven")),
                number => Ok(number),
            },
            |number: i32| number * 2,
            |double| {
                taken.push(double);
                Ok(())
            },
        );
        assert_eq!(ended.unwrap_err().to_string(), "seven");
        assert_eq!(taken, [0, 2, 4, 6, 8, 10, 12]);
    }

    #[test]
    fn work_that_hangs_is_not_waited_for_after_a_stop() {
        let stop = Stop::default();
        let mut inputs = 0..;
        let mut taken = Vec::new();
        let ended: anyhow::Result<()> = in_order(
            2,
            &stop,
            || Ok(inputs.next()),
            |number: i32| {
                if number == 1 {
                    loop {
                        std::thread::park();
                    }
                }
                number
            },
            |number| {
                taken.push(number);
                stop.ask();
                Ok(())
            },
        );
        assert!(ended.is_ok());
        assert_eq!(taken, [0]);
    }
}
