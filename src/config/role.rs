//! What each of several processes that share a store does.

/// What a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    #[default]
    All,
    /// Answers readers, and leaves it to others to settle their hits.
    Edge,
    /// Settles what edges have shipped; readers are not listened to.
    Settle,
}

impl Role {
    /// Roles by their names.
    pub(super) const NAMES: &[(&str, Self)] = &[
        ("all", Self::All),
        ("edge", Self::Edge),
        ("settle", Self::Settle),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::NAMES.iter().find(|(_, role)| *role == self);
        found.map_or("all", |(name, _)| name)
    }

    /// Whether readers are answered.
    #[must_use]
    pub fn answers(self) -> bool {
        self != Self::Settle
    }

    /// Whether hits are settled.
    #[must_use]
    pub fn settles(self) -> bool {
        self != Self::Edge
    }

    /// Why it cannot be had with this store.
    pub(super) fn refused(self, store: Option<&str>) -> Option<&'static str> {
        (self != Self::All && store.is_none()).then_some(
            "needs a store that several processes can share: set store to the URL of a PostgreSQL \
             database",
        )
    }
}
