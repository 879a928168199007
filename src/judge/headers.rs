//! The request headers that rules read, by reference.
//!
//! Owns: which headers those are. Refuses: to copy, decode or judge them. A header that is not
//! named here is read by no rule.

/// Declares the headers once: field, name on the wire.
macro_rules! headers {
    ($( $(#[$meta:meta])* $field:ident = $name:literal, )+) => {
        /// Raw values of the headers that rules read; `None` where a header was not sent.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Headers<'a> {
            $( $(#[$meta])* pub $field: Option<&'a [u8]>, )+
        }

        /// How many headers rules read.
        const COUNT: usize = [$( $name, )+].len();

        impl<'a> Headers<'a> {
            /// Names of the headers that rules read, in lower case.
            pub const NAMES: &'static [&'static str] = &[$( $name, )+];

            /// Takes note of one header, if a rule reads it, and says whether one does; call it
            /// once per header, in order. The first value of a repeated header wins: browsers
            /// send none of these twice.
            pub fn set(&mut self, lower_case_name: &str, value: &'a [u8]) -> bool {
                match lower_case_name {
                    $( $name => {
                        self.$field.get_or_insert(value);
                        true
                    } )+
                    _ => false,
                }
            }

            /// Every header that rules read, in the order of `NAMES`.
            pub fn values(&self) -> [Option<&'a [u8]>; COUNT] {
                [$( self.$field, )+]
            }

            /// The headers that were sent, with their values, in the order of `NAMES`.
            pub fn sent(&self) -> impl Iterator<Item = (&'static str, &'a [u8])> {
                let named = Self::NAMES.iter().copied().zip(self.values());
                named.filter_map(|(name, value)| Some((name, value?)))
            }
        }
    };
}

headers! {
    /// What the client calls itself.
    user_agent = "user-agent",
    /// Browsers ask for HTML or images, libraries for anything.
    accept = "accept",
    /// Browsers always send it.
    accept_language = "accept-language",
    /// Encodings that the client can unpack.
    accept_encoding = "accept-encoding",
    /// Fetch metadata: where the request came from.
    sec_fetch_site = "sec-fetch-site",
    /// Fetch metadata: `navigate` for a followed link.
    sec_fetch_mode = "sec-fetch-mode",
    /// Fetch metadata: whether a user activated it.
    sec_fetch_user = "sec-fetch-user",
    /// Fetch metadata: what the answer is for.
    sec_fetch_dest = "sec-fetch-dest",
    /// Client hint: brands and versions.
    sec_ch_ua = "sec-ch-ua",
    /// Client hint: `?1` on phones.
    sec_ch_ua_mobile = "sec-ch-ua-mobile",
    /// Client hint: operating system.
    sec_ch_ua_platform = "sec-ch-ua-platform",
    /// Speculative requests say so here.
    sec_purpose = "sec-purpose",
    /// What older Chrome and Safari said instead.
    purpose = "purpose",
    /// What other old browsers said.
    x_purpose = "x-purpose",
    /// What Firefox said before Sec-Purpose.
    x_moz = "x-moz",
    /// Global Privacy Control.
    sec_gpc = "sec-gpc",
    /// Do Not Track.
    dnt = "dnt",
    /// Sent with navigations.
    upgrade_insecure_requests = "upgrade-insecure-requests",
    /// The new Outlook names itself here.
    x_native_host = "x-native-host",
}

impl Headers<'_> {
    /// Whether the client says that nobody has asked for this yet: `Sec-Purpose` begins with
    /// `prefetch`, in any case. Only this refuses a click; the older headers are evidence.
    #[must_use]
    pub fn speculative(&self) -> bool {
        self.sec_purpose
            .is_some_and(|value| starts_with(value.trim_ascii(), b"prefetch"))
    }

    /// Whether one of the older headers speaks of a prefetch or preview.
    #[must_use]
    pub fn legacy_speculative(&self) -> bool {
        [self.purpose, self.x_purpose, self.x_moz]
            .into_iter()
            .flatten()
            .map(<[u8]>::trim_ascii)
            .any(|value| {
                [&b"prefetch"[..], b"preview", b"prerender", b"instant"]
                    .iter()
                    .any(|word| starts_with(value, word))
            })
    }
}

/// Whether `value` begins with `word`, in any case.
fn starts_with(value: &[u8], word: &[u8]) -> bool {
    value
        .get(..word.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_of_a_repeated_header_wins() {
        let mut headers = Headers::default();
        headers.set("accept", b"text/html");
        headers.set("accept", b"*/*");
        headers.set("cookie", b"a=b");
        let sent: Vec<_> = headers.sent().collect();
        assert_eq!(sent, [("accept", &b"text/html"[..])]);
    }

    #[test]
    fn only_sec_purpose_is_speculative() {
        for (name, value, speculative, legacy) in [
            ("sec-purpose", "prefetch", true, false),
            ("sec-purpose", " Prefetch;prerender", true, false),
            ("sec-purpose", "prefetch;anonymous-client-ip", true, false),
            ("sec-purpose", "pre", false, false),
            ("purpose", "prefetch", false, true),
            ("x-purpose", "Preview", false, true),
            ("x-moz", "prefetch", false, true),
            ("purpose", "", false, false),
        ] {
            let mut headers = Headers::default();
            headers.set(name, value.as_bytes());
            assert_eq!(headers.speculative(), speculative, "{name}: {value}");
            assert_eq!(headers.legacy_speculative(), legacy, "{name}: {value}");
        }
    }
}
