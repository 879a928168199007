//! Panics: counted, and said in one line like any other event.

use std::any::Any;
use std::panic::PanicHookInfo;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static PANICS: AtomicU64 = AtomicU64::new(0);
static HOOK: Once = Once::new();

/// Panics of this process since it began to count.
#[must_use]
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// From now on panics are counted and logged.
pub(super) fn count() {
    HOOK.call_once(|| std::panic::set_hook(Box::new(say)));
}

fn say(panic: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let why = message(panic.payload());
    tracing::error!(place, thread, why, "telemetry: a panic; please report it");
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_counted() {
        let before = panics();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(say));
        let ended = std::panic::catch_unwind(|| panic!("on purpose"));
        std::panic::set_hook(hook);
        assert!(ended.is_err());
        assert!(panics() > before);
    }

    #[test]
    fn its_message_is_found_however_it_was_made() {
        for (payload, why) in [
            (Box::new("static") as Box<dyn Any + Send>, "static"),
            (Box::new("made".to_owned()), "made"),
            (Box::new(7), "no message"),
        ] {
            assert_eq!(message(&*payload), why);
        }
    }
}
