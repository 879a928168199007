//! What a command does beside its main thread: several calls at once, and hearing an interruption.

use std::collections::VecDeque;

use actix_web::rt;
use actix_web::rt::signal::unix::{SignalKind, signal};

use crate::shutdown::Stop;

/// What a shell says of a process that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Works on up to `ahead` inputs at once, each on a thread of its own, and takes what comes of
/// them in the order of the inputs, until `next` has no more or `take` wants no more.
///
/// # Errors
/// What `next` or `take` refused. When it was `next`, everything before was taken all the same.
pub fn in_order<I: Send, O: Send, E>(
    ahead: usize,
    mut next: impl FnMut() -> Result<Option<I>, E>,
    work: impl Fn(I) -> O + Sync,
    mut take: impl FnMut(O) -> Result<bool, E>,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let mut running = VecDeque::new();
        let mut ended = Ok(());
        let mut more = true;
        loop {
            while more && running.len() < ahead.max(1) {
                match next() {
                    Ok(Some(input)) => {
                        let work = &work;
                        running.push_back(scope.spawn(move || work(input)));
                    }
                    Ok(None) => more = false,
                    Err(error) => {
                        ended = Err(error);
                        more = false;
                    }
                }
            }
            let Some(first) = running.pop_front() else {
                return ended;
            };
            let made = first.join();
            let made = made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if !take(made)? {
                return ended;
            }
        }
    })
}

/// Hears SIGINT and SIGTERM for a command that ends at a good place when it is asked to; the second
/// one ends the process at once. Its thread ends with the process.
///
/// # Errors
/// No thread can be made.
pub fn stop_when_interrupted() -> std::io::Result<Stop> {
    let stop = Stop::default();
    let asked = stop.clone();
    std::thread::Builder::new()
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
            || match inputs.next() {
                Some(7) => Err("seven"),
                number => Ok(number),
            },
            |number: i32| number * 2,
            |double| {
                taken.push(double);
                Ok(true)
            },
        );
        assert_eq!(ended, Err("seven"));
        assert_eq!(taken, [0, 2, 4, 6, 8, 10, 12]);
    }
}
