//! Rules on the request itself: method, speculation, token.

use crate::domain::hit::{HitKind, Method, TokenState};
use crate::judge::signals::Observed;

/// The client says that it prefetches or prerenders.
pub(crate) fn sec_purpose(observed: &Observed) -> bool {
    observed.headers.speculative()
}

/// One of the headers from before `Sec-Purpose` speaks of a prefetch or preview.
pub(crate) fn legacy_purpose(observed: &Observed) -> bool {
    observed.headers.legacy_speculative()
}

/// A HEAD request: no browser sends it for a link or image.
pub(crate) fn head(observed: &Observed) -> bool {
    observed.method == Method::Head
}

/// OPTIONS, PUT and the like; or a POST where only a GET makes sense.
pub(crate) fn other_method(observed: &Observed) -> bool {
    let posts = matches!(observed.kind, HitKind::Press | HitKind::Unsubscribe);
    observed.method == Method::Other || (observed.method == Method::Post && !posts)
}

/// An RFC 8058 one-click unsubscribe: a person asked their mailbox provider for it.
pub(crate) fn one_click(observed: &Observed) -> bool {
    observed.one_click
}

/// A press that passed every check. Some gateways press too.
pub(crate) fn press_passed(observed: &Observed) -> bool {
    observed.passed
}

/// The token is damaged: gateways try URLs with changed tokens.
pub(crate) fn damaged_token(observed: &Observed) -> bool {
    observed.token == TokenState::Damaged
}

/// A link that nobody can see.
pub(crate) fn honeypot(observed: &Observed) -> bool {
    observed.honeypot
}
