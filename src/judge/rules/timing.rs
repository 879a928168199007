//! Rules on when a hit came, against the acceptance of its mail by the recipient's server.

use crate::domain::hit::HitKind;
use crate::judge::around::Around;
use crate::judge::rules::neighbours::is_of_machines;
use crate::judge::signals::{NET_CERTAIN, NET_EMAIL_SECURITY};

/// Microseconds since the acceptance.
fn since(around: &Around<'_>) -> Option<i64> {
    let accepted_at = around.accepted_at?;
    Some(around.hit.at.get().saturating_sub(accepted_at.get()))
}

/// Soon after the acceptance, and not before it. Where nobody said when that was, soon after the
/// token was made is not later than soon after it.
fn soon_after(around: &Around<'_>) -> bool {
    let window = -around.windows.clock_skew..=around.windows.after_accept;
    match (since(around), around.minted_at) {
        (Some(since), _) => window.contains(&since),
        (None, Some(minted_at)) => {
            window.contains(&around.hit.at.get().saturating_sub(minted_at.get()))
        }
        (None, None) => false,
    }
}

fn is_of_security(around: &Around<'_>) -> bool {
    around.hit.facts.has(NET_CERTAIN) || around.hit.facts.has(NET_EMAIL_SECURITY)
}

/// Before the acceptance: nobody has the mail yet but its filters.
pub(crate) fn before_accept(around: &Around<'_>) -> bool {
    since(around).is_some_and(|since| since < -around.windows.clock_skew)
}

/// At the acceptance, as far as clocks agree.
pub(crate) fn at_accept(around: &Around<'_>) -> bool {
    let at = -around.windows.clock_skew..=around.windows.at_accept;
    since(around).is_some_and(|since| at.contains(&since))
}

/// Soon after the acceptance, from a network of mail security.
pub(crate) fn window(around: &Around<'_>) -> bool {
    soon_after(around) && is_of_security(around)
}

/// Soon after the acceptance, from a cloud. Apart from `window`, because people wait for login
/// codes and follow them at once, on cloud desktops and VPNs too: mails of a few links.
pub(crate) fn cloud_window(around: &Around<'_>) -> bool {
    const NEWSLETTER: u32 = 4;
    soon_after(around)
        && !is_of_security(around)
        && is_of_machines(around.hit.facts)
        && (around.hit.kind == HitKind::Open || around.links >= NEWSLETTER)
}
