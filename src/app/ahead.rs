//! What a command does beside its main thread: several calls at once, and hearing an interruption.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use actix_web::rt;
use actix_web::rt::signal::unix::{SignalKind, signal};

use crate::shutdown::Stop;

/// What a shell says of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;
/// How long work that was begun is waited for after a stop: a server may hang.
const LAST_WORK_MAX: Duration = Duration::from_secs(2);
/// Inputs that a thread is given before it is waited for.
const INPUTS_MAX: usize = 1;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Works on up to `ahead` inputs at once, on as many threads, and takes what comes of them in the
/// order of the inputs, until `next` has no more. After a stop, which an error of `take` is too,
/// work that is late is left to itself, and ends with the process.
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
    let lanes = (0..ahead.max(1)).map(|_| Lane::open(work.clone()));
    let mut idle = lanes
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(anyhow::Error::from)?;
    let mut busy = VecDeque::new();
    let mut ended = Ok(());
    let mut more = true;
    let mut until = None;
    loop {
        while more && let Some(lane) = idle.pop() {
            match next() {
                Ok(Some(input)) => busy.push_back(lane.begin(input)),
                none => {
                    ended = none.map(|_| ());
                    more = false;
                    idle.push(lane);
                }
            }
        }
        let Some((lane, made)) = busy
            .pop_front()
            .and_then(|lane| lane.wait(stop, &mut until))
        else {
            break;
        };
        idle.push(lane);
        if let Err(error) = take(made) {
            stop.ask();
            let late = busy
                .drain(..)
                .filter_map(|lane| lane.wait(stop, &mut until));
            idle.extend(late.map(|(lane, _)| lane));
            ended = Err(error);
            break;
        }
    }
    // What the work holds is let go of before the caller goes on.
    idle.into_iter().for_each(Lane::close);
    ended
}

/// A thread that works on one input after the other.
struct Lane<I, O> {
    inputs: SyncSender<I>,
    made: Receiver<O>,
    thread: JoinHandle<()>,
}

impl<I: Send + 'static, O: Send + 'static> Lane<I, O> {
    fn open(work: impl Fn(I) -> O + Send + 'static) -> std::io::Result<Self> {
        let (inputs, given) = sync_channel(INPUTS_MAX);
        let (say, made) = sync_channel(INPUTS_MAX);
        let thread = Builder::new().name("ahead".to_owned()).spawn(move || {
            for input in given {
                drop(say.send(work(input)));
            }
        })?;
        Ok(Self {
            inputs,
            made,
            thread,
        })
    }

    fn begin(self, input: I) -> Self {
        // One that has died is found out by waiting for it.
        drop(self.inputs.send(input));
        self
    }

    /// What came of its input; `None` if it is late after a stop: later than `until`.
    fn wait(self, stop: &Stop, until: &mut Option<Instant>) -> Option<(Self, O)> {
        loop {
            match self.made.recv_timeout(LOOK_EVERY) {
                Ok(made) => return Some((self, made)),
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

    fn close(self) {
        drop(self.inputs);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
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
