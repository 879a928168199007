//! Judgements: the chance that a machine made a hit, its class, and the facts they rest on.

use super::coded_enum;

coded_enum! {
    /// Who made a hit.
    pub enum Class {
        /// A person.
        Human = 1 => "human",
        /// A person, seen through an image proxy or a provider's server.
        Proxied = 2 => "proxied",
        /// A speculative fetch: prefetch, prerender, a mail client's cache.
        Prefetch = 3 => "prefetch",
        /// A mail-security scanner.
        Scanner = 4 => "scanner",
        /// A robot: library, crawler, previewer.
        Bot = 5 => "bot",
        /// Cannot say.
        Suspect = 6 => "suspect",
    }
}

impl Class {
    /// Whether the human-filtered figures count this class.
    #[must_use]
    pub const fn is_human(self) -> bool {
        matches!(self, Self::Human | Self::Proxied)
    }
}

coded_enum! {
    /// What a judgement could see.
    pub enum Stage {
        /// The request, and what was known around it when it was written.
        Provisional = 1 => "provisional",
        /// The request and what came around it.
        Settled = 2 => "settled",
    }
}

coded_enum! {
    /// To what end history is judged again.
    pub enum RejudgeMode {
        /// To see what would change.
        DryRun = 1 => "dry-run",
        /// What changes is in force.
        InForce = 2 => "in-force",
        /// What differs is counted beside what is in force, and goes on being counted.
        Shadow = 3 => "shadow",
    }
}

/// Whose judgements are counted: those in force, or what those of a rule set in shadow differ by
/// from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ledger(pub u32);

impl Ledger {
    /// The judgements in force.
    pub const IN_FORCE: Self = Self(0);
}

/// Facts about one hit, one bit each; the bits are numbered by `judge::SIGNALS`.
///
/// They are all that a judgement reads besides the kind of hit, so a stored hit can be judged
/// again, with any rule set, without its request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Facts(u64);

impl Facts {
    /// No facts: what an `aggregate` hit keeps.
    pub const NONE: Self = Self(0);

    /// Facts from their stored bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits to store.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// These facts and the one numbered `bit` (0 to 63).
    #[must_use]
    pub const fn with(self, bit: u8) -> Self {
        Self(self.0 | 1 << (bit & 63))
    }

    /// Whether the fact numbered `bit` (0 to 63) holds.
    #[must_use]
    pub const fn has(self, bit: u8) -> bool {
        self.0 >> (bit & 63) & 1 == 1
    }
}

/// Chance that a machine made the hit, in tenths of a per cent: 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u16);

impl Score {
    /// A score from tenths of a per cent; more than 1000 is 1000.
    #[must_use]
    pub const fn from_tenths(tenths: u16) -> Self {
        Self(if tenths > 1000 { 1000 } else { tenths })
    }

    /// Tenths of a per cent, 0 to 1000.
    #[must_use]
    pub const fn tenths(self) -> u16 {
        self.0
    }

    /// Per cent with one decimal, as the API shows it.
    #[must_use]
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 10.0
    }
}

/// Number of a rule set in journal and store; the store maps it to name, version and text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleSetId(pub u16);

impl RuleSetId {
    /// The id of a rule set: the same on every edge without asking anybody. The store refuses
    /// two texts with one id.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let [a, b, ..] = crc32c::crc32c(text.as_bytes()).to_le_bytes();
        Self(u16::from_le_bytes([a, b]).max(1))
    }
}

/// What a rule set says of a hit: enough to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Chance that a machine did it.
    pub score: Score,
    /// Class of the hit.
    pub class: Class,
}
