//! What a browser-shaped user agent claims: engine, version, platform.
//!
//! Owns: reading the few tokens that rules compare with other evidence. Refuses: device names,
//! exact versions and anything else that no rule reads.

use aho_corasick::{AhoCorasick, BuildError};

/// Engine family that an agent claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// None of the three, or no version given.
    #[default]
    Other,
    /// Chromium and everything built on it, except on iOS.
    Chromium,
    /// Firefox, except on iOS.
    Firefox,
    /// Safari, and every browser on iOS that gives Safari's version.
    Safari,
}

/// Operating system that an agent claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Platform {
    /// Not said, or none of these.
    #[default]
    Other,
    /// Windows.
    Windows,
    /// macOS; iPads claim it too.
    MacOs,
    /// Linux; Android's desktop mode claims it too.
    Linux,
    /// Android.
    Android,
    /// iOS and iPadOS.
    Ios,
    /// ChromeOS.
    ChromeOs,
}

/// What an agent claims to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Engine family.
    pub engine: Engine,
    /// Major version: of Chromium, of Firefox, or Safari's `Version/`.
    pub major: u16,
    /// Minor version; only Safari's counts (16.4 brought fetch metadata).
    pub minor: u16,
    /// Operating system.
    pub platform: Platform,
    /// Says `Mobile`.
    pub mobile: bool,
    /// Chrome of the four-part kind that is not `N.0.0.0`: browsers froze it with version 101.
    pub full_version: bool,
    /// An Android WebView or Electron: keeps full versions, may lack headers.
    pub embedded: bool,
}

const TOKENS: [(&str, Token); 15] = [
    ("Chrome/", Token::Chrome),
    ("Firefox/", Token::Firefox),
    ("Version/", Token::Version),
    ("Safari/", Token::Safari),
    ("Windows", Token::On(Platform::Windows)),
    ("Macintosh", Token::On(Platform::MacOs)),
    ("iPhone", Token::On(Platform::Ios)),
    ("iPad", Token::On(Platform::Ios)),
    ("Android", Token::On(Platform::Android)),
    ("CrOS ", Token::On(Platform::ChromeOs)),
    ("Linux", Token::On(Platform::Linux)),
    ("Mobile", Token::Mobile),
    ("; wv)", Token::Embedded),
    ("Electron/", Token::Embedded),
    ("QtWebEngine/", Token::Embedded),
];

#[derive(Clone, Copy)]
enum Token {
    Chrome,
    Firefox,
    Version,
    Safari,
    On(Platform),
    Mobile,
    Embedded,
}

/// Finds the tokens in one pass.
#[derive(Debug)]
pub struct ClaimReader {
    tokens: AhoCorasick,
}

impl ClaimReader {
    /// Builds the reader.
    ///
    /// # Errors
    /// If the automaton cannot be built, which the token list rules out.
    pub fn new() -> Result<Self, BuildError> {
        let tokens = AhoCorasick::new(TOKENS.map(|(text, _)| text))?;
        Ok(Self { tokens })
    }

    /// Reads an agent string.
    #[must_use]
    pub fn read(&self, agent: &[u8]) -> Claims {
        let mut claims = Claims::default();
        let mut safari_version = None;
        let mut says_safari = false;
        for found in self.tokens.find_iter(agent) {
            let Some((_, token)) = TOKENS.get(found.pattern().as_usize()) else {
                continue;
            };
            let rest = agent.get(found.end()..).unwrap_or_default();
            match token {
                Token::Chrome => claims.take_chrome(rest),
                Token::Firefox => {
                    claims.engine = Engine::Firefox;
                    (claims.major, _) = number(rest);
                }
                Token::Version => safari_version = Some(rest),
                Token::Safari => says_safari = true,
                Token::On(platform) => claims.take_platform(*platform),
                Token::Mobile => claims.mobile = true,
                Token::Embedded => claims.embedded = true,
            }
        }
        if claims.engine == Engine::Other
            && says_safari
            && let Some(version) = safari_version
        {
            let (major, rest) = number(version);
            claims.engine = Engine::Safari;
            claims.major = major;
            claims.minor = rest.strip_prefix(b".").map_or(0, |rest| number(rest).0);
        }
        claims
    }
}

impl Claims {
    fn take_chrome(&mut self, version: &[u8]) {
        let (major, rest) = number(version);
        self.engine = Engine::Chromium;
        self.major = major;
        let end = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit() && *byte != b'.')
            .unwrap_or(rest.len());
        let tail = rest.get(..end).unwrap_or_default();
        let four_parts = tail.iter().filter(|byte| **byte == b'.').count() == 3;
        self.full_version = four_parts && tail != b".0.0.0";
    }

    /// The more special name wins: Android says `Linux` first, Windows Phone says `Android` after.
    fn take_platform(&mut self, platform: Platform) {
        if matches!(self.platform, Platform::Other | Platform::Linux) {
            self.platform = platform;
        }
    }
}

/// The number at the start of `text`, and what follows it. A number too large is 0.
fn number(text: &[u8]) -> (u16, &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let value = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse().ok());
    (value.unwrap_or(0), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_engine_version_and_platform() {
        use Engine::{Chromium, Firefox, Other, Safari};
        let reader = ClaimReader::new().unwrap();
        for (agent, engine, major, minor, platform) in [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                 Gecko) Chrome/153.0.0.0 Safari/537.36 Edg/153.0.0.0",
                Chromium,
                153,
                0,
                Platform::Windows,
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) \
                 Chrome/153.0.0.0 Mobile Safari/537.36",
                Chromium,
                153,
                0,
                Platform::Android,
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
                Firefox,
                153,
                0,
                Platform::Linux,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 \
                 (KHTML, like Gecko) Version/16.4.1 Mobile/15E148 Safari/604.1",
                Safari,
                16,
                4,
                Platform::Ios,
            ),
            ("curl/8.5.0", Other, 0, 0, Platform::Other),
            ("Chrome/99999999", Chromium, 0, 0, Platform::Other),
        ] {
            let claims = reader.read(agent.as_bytes());
            let got = (claims.engine, claims.major, claims.minor, claims.platform);
            assert_eq!(got, (engine, major, minor, platform), "{agent}");
        }
    }

    #[test]
    fn a_full_version_is_four_parts_that_are_not_frozen() {
        let reader = ClaimReader::new().unwrap();
        for (agent, full) in [
            ("Chrome/101.0.4951.54 Safari/537.36", true),
            ("Chrome/153.0.0.0 Safari/537.36", false),
            ("Chrome/94 Safari/537.36", false),
            ("CriOS/131.0.6778.73 Safari/604.1", false),
        ] {
            assert_eq!(reader.read(agent.as_bytes()).full_version, full, "{agent}");
        }
    }
}
