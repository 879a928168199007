//! Families of signals, and the class of a machine that is mainly known by one.

use crate::domain::judgement::Class;

/// What a signal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Where the request came from.
    Network,
    /// What the client calls itself.
    Agent,
    /// Whether the request looks as that client's requests look.
    Headers,
    /// Whether the client says that nobody has asked for it yet.
    Speculation,
    /// The request method.
    Method,
    /// The token, and links that nobody can see.
    Token,
    /// When it came, against the acceptance of the mail.
    Timing,
    /// What else the same message or source did.
    Neighbours,
    /// Evidence of a person: its weights are negative.
    Person,
}

impl Family {
    /// The class of a machine that is mainly known by this family.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Speculation => Class::Prefetch,
            Self::Network | Self::Token | Self::Timing | Self::Neighbours => Class::Scanner,
            Self::Agent | Self::Headers | Self::Method => Class::Bot,
            Self::Person => Class::Suspect,
        }
    }

    /// The name in the API and docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Agent => "agent",
            Self::Headers => "headers",
            Self::Speculation => "speculation",
            Self::Method => "method",
            Self::Token => "token",
            Self::Timing => "timing",
            Self::Neighbours => "neighbours",
            Self::Person => "person",
        }
    }
}
