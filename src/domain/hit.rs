//! What a hit is made of: its kind, how it was asked, how it was answered.

use super::coded_enum;

coded_enum! {
    /// Kind of hit (DESIGN 1).
    pub enum HitKind {
        /// The open pixel was fetched.
        Open = 1 => "open",
        /// A content link, honeypot or short link was requested.
        Click = 2 => "click",
        /// The page of an action or unsubscribe link was requested.
        Page = 3 => "page",
        /// The form of an action page was posted.
        Press = 4 => "press",
        /// An unsubscribe was posted.
        Unsubscribe = 5 => "unsubscribe",
    }
}

coded_enum! {
    /// Request method, as far as it matters for counting.
    pub enum Method {
        /// GET.
        Get = 1 => "GET",
        /// HEAD: shown, never counted, never spread.
        Head = 2 => "HEAD",
        /// POST.
        Post = 3 => "POST",
        /// OPTIONS, PUT and whatever else was sent.
        Other = 4 => "OTHER",
    }
}

coded_enum! {
    /// Scheme that the reader's client used, after trusted proxies are believed.
    pub enum Scheme {
        /// Clear text: browsers send neither Sec-Fetch headers nor client hints.
        Http = 1 => "http",
        /// TLS.
        Https = 2 => "https",
    }
}

coded_enum! {
    /// HTTP version of the connection that reached Cupel.
    pub enum HttpVersion {
        /// HTTP/1.0 or older.
        Http10 = 1 => "1.0",
        /// HTTP/1.1.
        Http11 = 2 => "1.1",
        /// HTTP/2.
        Http2 = 3 => "2",
        /// HTTP/3.
        Http3 = 4 => "3",
    }
}

coded_enum! {
    /// How the hit was answered.
    pub enum Answer {
        /// 302 to the destination.
        Redirected = 1 => "redirected",
        /// The pixel.
        Pixel = 2 => "pixel",
        /// A page with a button.
        Page = 3 => "page",
        /// A press or unsubscribe that took effect.
        Acted = 4 => "acted",
        /// A press or unsubscribe of a message that had acted before.
        Repeated = 5 => "repeated",
        /// "Ask for a new mail": the key of the token is aged.
        AskedAgain = 6 => "asked_again",
        /// A press that was not allowed to act.
        Refused = 7 => "refused",
        /// A speculative request, refused so that the real click is seen.
        Speculation = 8 => "speculation_refused",
        /// The link is disabled.
        Gone = 9 => "gone",
        /// The not-found page: damaged token, or a number that is no content link.
        NotFound = 10 => "not_found",
    }
}

coded_enum! {
    /// What the token of the hit was worth (DESIGN 5.2).
    pub enum TokenState {
        /// No token: a short link.
        None = 1 => "none",
        /// Signed by the signing key or one that still verifies fully.
        Valid = 2 => "valid",
        /// Signed by a key retired from signing: counted, marked.
        Aged = 3 => "aged",
        /// Signed by a revoked key: counted for the campaign only.
        Revoked = 4 => "revoked",
        /// The MAC is wrong or the key unknown, the campaign known: counted under nobody.
        Damaged = 5 => "damaged",
    }
}

coded_enum! {
    /// How an unsubscribe came in.
    pub enum Via {
        /// RFC 8058 one-click, from the mailbox provider's servers.
        OneClick = 1 => "one_click",
        /// The button of the page.
        Page = 2 => "page",
    }
}
