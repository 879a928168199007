//! Rules on when a hit came, against the acceptance of its mail by the recipient's server.

use crate::judge::around::Around;
use crate::judge::rules::neighbours::is_of_machines;
use crate::judge::signals::{NET_CERTAIN, NET_EMAIL_SECURITY};

/// Clocks of mail servers and edges differ, and logs have whole seconds: a hit so little before the
/// acceptance counts as at it.
const CLOCK_SKEW_MICROS: i64 = 1_000_000;
/// So soon after the acceptance hardly a person has clicked.
const AT_ACCEPT_MICROS: i64 = 2_000_000;
/// How long a network where machines are common makes the time itself suspicious.
const WINDOW_MICROS: i64 = 60_000_000;

/// Microseconds since the acceptance.
fn since(around: &Around<'_>) -> Option<i64> {
    let accepted_at = around.accepted_at?;
    Some(around.hit.at.get().saturating_sub(accepted_at.get()))
}

/// Not more than a minute after the acceptance, and not before it. Where nobody said when that was,
/// a minute after the token was made is not later than a minute after it.
fn within_a_minute(around: &Around<'_>) -> bool {
    match (since(around), around.minted_at) {
        (Some(since), _) => (-CLOCK_SKEW_MICROS..=WINDOW_MICROS).contains(&since),
        (None, Some(minted_at)) => {
            let since = around.hit.at.get().saturating_sub(minted_at.get());
            (-CLOCK_SKEW_MICROS..=WINDOW_MICROS).contains(&since)
        }
        (None, None) => false,
    }
}

fn is_of_security(around: &Around<'_>) -> bool {
    around.hit.facts.has(NET_CERTAIN) || around.hit.facts.has(NET_EMAIL_SECURITY)
}

/// More than a second before the acceptance: nobody has the mail yet but its filters.
pub(crate) fn before_accept(around: &Around<'_>) -> bool {
    since(around).is_some_and(|since| since < -CLOCK_SKEW_MICROS)
}

/// From a second before to two seconds after the acceptance.
pub(crate) fn at_accept(around: &Around<'_>) -> bool {
    since(around).is_some_and(|since| (-CLOCK_SKEW_MICROS..=AT_ACCEPT_MICROS).contains(&since))
}

/// Within a minute after the acceptance, from a network of mail security.
pub(crate) fn window(around: &Around<'_>) -> bool {
    within_a_minute(around) && is_of_security(around)
}

/// Within a minute after the acceptance, from a cloud. Apart from `window`, because people read
/// login codes at once, on cloud desktops and VPNs too.
pub(crate) fn cloud_window(around: &Around<'_>) -> bool {
    within_a_minute(around) && !is_of_security(around) && is_of_machines(around.hit.facts)
}
