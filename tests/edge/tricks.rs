//! What readers send who would be somebody else.

/// Head lines, and what a trusted peer that wrote them would say by them: the network of the
/// reader's address and the scheme.
pub(crate) struct Trick {
    /// Lines of the head, without line breaks.
    pub(crate) lines: &'static [&'static str],
    /// Network of the address that is recorded when the peer is trusted; empty for its own.
    pub(crate) network: &'static str,
    /// Scheme that is recorded then.
    pub(crate) scheme: &'static str,
}

const fn trick(
    lines: &'static [&'static str],
    network: &'static str,
    scheme: &'static str,
) -> Trick {
    Trick {
        lines,
        network,
        scheme,
    }
}

const DOC: &str = "203.0.113.0/24";
const OWN: &str = "";

/// Every trick by headers.
pub(crate) const TRICKS: &[Trick] = &[
    trick(&[], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9"], DOC, "http"),
    trick(&["x-forwarded-for:203.0.113.9"], DOC, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9:4711"], DOC, "http"),
    trick(&["X-Forwarded-For: 198.51.100.1, 203.0.113.9"], DOC, "http"),
    trick(&["X-Forwarded-For: 198.51.100.1,203.0.113.9"], DOC, "http"),
    trick(
        &[
            "X-Forwarded-For: 198.51.100.1",
            "X-Forwarded-For: 203.0.113.9",
        ],
        DOC,
        "http",
    ),
    // The trusted proxy before it, by its own address.
    trick(&["X-Forwarded-For: 203.0.113.9, 127.0.0.1"], DOC, "http"),
    trick(
        &["X-Forwarded-For: 198.51.100.1, 203.0.113.9, 127.0.0.1, 127.0.0.1"],
        DOC,
        "http",
    ),
    trick(&["X-Forwarded-For: 127.0.0.1"], OWN, "http"),
    trick(&["X-Forwarded-For: [2001:db8::1]"], "2001:db8::/48", "http"),
    trick(
        &["X-Forwarded-For: [2001:db8::1]:4711"],
        "2001:db8::/48",
        "http",
    ),
    trick(&["X-Forwarded-For: 2001:db8::1"], "2001:db8::/48", "http"),
    trick(&["X-Forwarded-For: ::ffff:203.0.113.9"], DOC, "http"),
    trick(&["X-Forwarded-For: [::ffff:203.0.113.9]"], DOC, "http"),
    trick(&["X-Forwarded-For: unknown"], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9, unknown"], OWN, "http"),
    trick(&["X-Forwarded-For: _hidden"], OWN, "http"),
    trick(&["X-Forwarded-For: localhost"], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9, garbage"], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9,"], OWN, "http"),
    trick(&["X-Forwarded-For: ,203.0.113.9"], DOC, "http"),
    trick(&["X-Forwarded-For:"], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.999"], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113"], OWN, "http"),
    trick(&["X-Forwarded-For: 0313.0.113.9"], OWN, "http"),
    trick(&["X-Forwarded-For: 3405803785"], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9/24"], OWN, "http"),
    trick(&["X-Forwarded-For: [203.0.113.9]"], OWN, "http"),
    trick(&["X-Forwarded-For: [2001:db8::1"], OWN, "http"),
    trick(&["X-Forwarded-For: [2001:db8::1]203.0.113.9"], OWN, "http"),
    trick(&["X-Forwarded-For: fe80::1%eth0"], OWN, "http"),
    trick(&["X-Forwarded-For: \"203.0.113.9\""], OWN, "http"),
    trick(&["X-Forwarded-For: 203.0.113.9 203.0.113.8"], OWN, "http"),
    trick(
        &["X-Forwarded-For: \u{e9}", "Forwarded: for=203.0.113.9"],
        OWN,
        "http",
    ),
    trick(&["X-Forwarded-For: \u{e9}, 203.0.113.9"], DOC, "http"),
    trick(&["Forwarded: for=203.0.113.9"], OWN, "http"),
    trick(&["Forwarded: for=\"203.0.113.9\";proto=https"], OWN, "http"),
    trick(&["Forwarded: for=\"[2001:db8::1]:4711\""], OWN, "http"),
    trick(
        &["Forwarded: by=127.0.0.1;for=unknown, for=203.0.113.9"],
        OWN,
        "http",
    ),
    trick(&["X-Real-IP: 203.0.113.9"], OWN, "http"),
    trick(&["CF-Connecting-IP: 203.0.113.9"], OWN, "http"),
    trick(&["True-Client-IP: 203.0.113.9"], OWN, "http"),
    trick(&["X-Client-IP: 203.0.113.9"], OWN, "http"),
    trick(&["X-Cluster-Client-IP: 203.0.113.9"], OWN, "http"),
    trick(&["X-Originating-IP: 203.0.113.9"], OWN, "http"),
    trick(
        &["X-Forwarded: 203.0.113.9", "Forwarded-For: 203.0.113.9"],
        OWN,
        "http",
    ),
    trick(
        &["Via: 1.1 203.0.113.9", "Client-IP: 203.0.113.9"],
        OWN,
        "http",
    ),
    trick(
        &[
            "Fastly-Client-IP: 203.0.113.9",
            "X-Remote-Addr: 203.0.113.9",
        ],
        OWN,
        "http",
    ),
    trick(&["X_Forwarded_For: 203.0.113.9"], OWN, "http"),
    trick(
        &[
            "Connection: X-Forwarded-For",
            "X-Forwarded-For: 203.0.113.9",
        ],
        DOC,
        "http",
    ),
    trick(
        &["Connection: X-Forwarded-Proto", "X-Forwarded-Proto: https"],
        OWN,
        "https",
    ),
    trick(&["X-Forwarded-Proto: https"], OWN, "https"),
    trick(&["X-Forwarded-Proto: HTTPS"], OWN, "https"),
    trick(
        &["X-Forwarded-Proto: http, https, http, https"],
        OWN,
        "https",
    ),
    trick(&["X-Forwarded-Proto: https, http"], OWN, "http"),
    trick(
        &["X-Forwarded-Proto: https", "X-Forwarded-Proto: http"],
        OWN,
        "http",
    ),
    trick(&["X-Forwarded-Proto: gopher"], OWN, "http"),
    trick(&["X-Forwarded-Ssl: on", "Front-End-Https: on"], OWN, "http"),
    trick(
        &["X-Forwarded-Scheme: https", "X-Scheme: https"],
        OWN,
        "http",
    ),
    trick(
        &["X-Forwarded-Host: evil.example", "X-Forwarded-Port: 443"],
        OWN,
        "http",
    ),
];

/// Lists of 2 to 50 hops, the nearest of which is told apart.
pub(crate) fn long_lists() -> Vec<String> {
    let list = |hops: usize| {
        let far = vec!["198.51.100.1"; hops - 1].join(", ");
        format!("X-Forwarded-For: {far}, 203.0.113.9")
    };
    [2, 3, 10, 50].map(list).to_vec()
}
