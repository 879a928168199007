//! Rules on what the client calls itself. Honest names only: a mail gateway sends the agent of
//! an ordinary browser, and no list knows it.

use crate::judge::agent::AgentKind;
use crate::judge::signals::Observed;

/// Says that it is a mailbox provider's image proxy.
pub(crate) fn image_proxy(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::ImageProxy
}

/// `Mozilla/5.0` and nothing else: Apple Mail Privacy Protection.
pub(crate) fn apple_prefetch(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::PrefetchApple
}

/// Gmail's prefetch of images while a session is open.
pub(crate) fn gmail_prefetch(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::PrefetchGmail
}

/// A link previewer. A person shared the link; who follows it may be someone else.
pub(crate) fn previewer(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::Previewer
}

/// A robot that says so.
pub(crate) fn declared_bot(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::DeclaredBot
}

/// An HTTP library or command.
pub(crate) fn library(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::Library
}

/// A browser that says that it has no screen, or is under automation.
pub(crate) fn headless(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::Headless
}

/// A security scanner that says so.
pub(crate) fn security_scanner(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::SecurityScanner
}

/// No user agent.
pub(crate) fn empty(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::Empty
}

/// A user agent of a shape that no browser has.
pub(crate) fn odd_shape(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::Other
}

/// A mail client, the new Outlook included.
pub(crate) fn mail_client(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::MailClient || observed.headers.x_native_host.is_some()
}

/// A browser with a Chrome far behind the current one; embedded engines excepted.
pub(crate) fn stale_chrome(observed: &Observed) -> bool {
    observed.agent.kind == AgentKind::Browser && observed.agent.stale
}

/// A browser whose Chrome version is not frozen to `N.0.0.0`; embedded engines excepted.
pub(crate) fn full_version(observed: &Observed) -> bool {
    let claims = observed.agent.claims;
    observed.agent.kind == AgentKind::Browser && claims.full_version && !claims.embedded
}
