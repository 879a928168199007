//! Rules on where a request came from. The same network means different things for opens and
//! clicks; weights tell them apart, not these rules.

use crate::domain::network::Lists;
use crate::judge::signals::Observed;

/// Networks from which people certainly browse. A cloud or scanner list that also holds such a
/// network is wrong about it.
const PEOPLE: Lists = Lists::PRIVACY_RELAY.and(Lists::HUMAN_EGRESS);

/// From an address range from which only machines come.
pub(crate) fn certain_scanner(observed: &Observed) -> bool {
    observed.network.lists.any(Lists::CERTAIN_SCANNER)
}

/// From a mail-security vendor: its scanners, or a person in its browser isolation.
pub(crate) fn email_security(observed: &Observed) -> bool {
    let lists = observed.network.lists;
    lists.any(Lists::EMAIL_SECURITY) && !lists.any(PEOPLE)
}

/// From a hosting company, cancelled by the lists of people. A mailbox provider's own cloud is
/// `mail_provider`'s.
pub(crate) fn hosting(observed: &Observed) -> bool {
    let lists = observed.network.lists;
    lists.any(Lists::HOSTING) && !lists.any(PEOPLE.and(Lists::MAIL_PROVIDER))
}

/// From a mailbox provider: its scanners and proxies, or cloud desktops and staff.
pub(crate) fn mail_provider(observed: &Observed) -> bool {
    let lists = observed.network.lists;
    lists.any(Lists::MAIL_PROVIDER) && !lists.any(PEOPLE)
}

/// From a network that runs a mailbox provider's image proxy.
pub(crate) fn image_proxy(observed: &Observed) -> bool {
    observed.network.lists.any(Lists::IMAGE_PROXY)
}

/// From a privacy relay: a person on clicks, Apple's prefetch too on opens.
pub(crate) fn privacy_relay(observed: &Observed) -> bool {
    observed.network.lists.any(Lists::PRIVACY_RELAY)
}

/// From a secure web gateway or a company's egress: employees.
pub(crate) fn human_egress(observed: &Observed) -> bool {
    observed.network.lists.any(Lists::HUMAN_EGRESS)
}
