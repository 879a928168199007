//! Rules on whether a request looks as the requests of the browser look that it claims to be.
//!
//! Every rule here is silent over clear text, where real browsers send neither fetch metadata
//! nor client hints, and silent on agents that do not claim to be a browser. WebViews and
//! inspecting proxies may drop these headers: they are worth a weight, never a verdict.

use crate::domain::hit::{HitKind, Scheme};
use crate::judge::agent::AgentKind;
use crate::judge::claims::{Claims, Engine, Platform};
use crate::judge::signals::Observed;

/// What the agent claims, where its claims can be held against its headers.
fn claims(observed: &Observed) -> Option<Claims> {
    let comparable = observed.scheme == Scheme::Https
        && observed.agent.kind == AgentKind::Browser
        && !observed.agent.claims.embedded;
    comparable.then_some(observed.agent.claims)
}

/// As [`claims`], for Chromium versions that send client hints with every request.
fn hinting(observed: &Observed) -> Option<Claims> {
    claims(observed).filter(|claims| claims.engine == Engine::Chromium && claims.major >= 90)
}

/// Whether the answer is for a person's window: everything but the pixel.
fn for_a_window(observed: &Observed) -> bool {
    observed.kind != HitKind::Open
}

/// No fetch metadata from a browser that sends it with every request: Chromium from 80, Firefox
/// from 90, Safari from 16.4.
pub(crate) fn missing_fetch(observed: &Observed) -> bool {
    claims(observed).is_some_and(|claims| {
        let sends = match claims.engine {
            Engine::Chromium => claims.major >= 80,
            Engine::Firefox => claims.major >= 90,
            Engine::Safari => (claims.major, claims.minor) >= (16, 4),
            Engine::Other => false,
        };
        sends && observed.headers.sec_fetch_mode.is_none()
    })
}

/// A link or page asked for by a script or as part of another page, not by navigating to it.
pub(crate) fn not_navigation(observed: &Observed) -> bool {
    claims(observed).is_some()
        && for_a_window(observed)
        && observed
            .headers
            .sec_fetch_mode
            .is_some_and(|mode| mode != b"navigate")
}

/// A link or page asked for with no `Accept`, or with `*/*` alone: browsers ask for HTML.
pub(crate) fn accept(observed: &Observed) -> bool {
    claims(observed).is_some()
        && for_a_window(observed)
        && observed
            .headers
            .accept
            .is_none_or(|accept| matches!(accept.trim_ascii(), b"" | b"*/*"))
}

/// No `Accept-Language` from a browser: each of them sends it.
pub(crate) fn no_language(observed: &Observed) -> bool {
    claims(observed).is_some() && observed.headers.accept_language.is_none()
}

/// The client hint names another operating system than the agent. Let pass: Android's desktop
/// mode, whose agent says Linux, and ChromeOS that calls itself Linux.
pub(crate) fn hint_platform(observed: &Observed) -> bool {
    let (Some(claims), Some(hint)) = (claims(observed), observed.headers.sec_ch_ua_platform) else {
        return false;
    };
    let hinted = match hint.trim_ascii() {
        b"\"Windows\"" => Platform::Windows,
        b"\"macOS\"" => Platform::MacOs,
        b"\"Linux\"" => Platform::Linux,
        b"\"Android\"" => Platform::Android,
        b"\"iOS\"" => Platform::Ios,
        b"\"Chrome OS\"" | b"\"Chromium OS\"" => Platform::ChromeOs,
        _ => return false,
    };
    let akin = matches!(
        (claims.platform, hinted),
        (Platform::Linux, Platform::Android) | (Platform::ChromeOs, Platform::Linux)
    );
    claims.platform != Platform::Other && claims.platform != hinted && !akin
}

/// The client hint says phone and the agent does not, or the other way round.
pub(crate) fn hint_mobile(observed: &Observed) -> bool {
    let Some(claims) = hinting(observed) else {
        return false;
    };
    match observed.headers.sec_ch_ua_mobile {
        Some(b"?1") => !claims.mobile,
        Some(b"?0") => claims.mobile,
        _ => false,
    }
}

/// The client hint gives another major version of Chromium than the agent.
pub(crate) fn hint_version(observed: &Observed) -> bool {
    let (Some(claims), Some(brands)) = (hinting(observed), observed.headers.sec_ch_ua) else {
        return false;
    };
    let Some(version) = after(brands, b"\"Chromium\";v=\"") else {
        return false;
    };
    let digits = version
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let major = version
        .get(..digits)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    major.is_some_and(|major| major != claims.major)
}

/// The client hint lists Chromium and no vendor's brand, where the agent claims Windows, macOS
/// or a phone. Bare Chromium is a Linux distribution's, and the engine of headless tools.
pub(crate) fn hint_brands(observed: &Observed) -> bool {
    let (Some(claims), Some(brands)) = (hinting(observed), observed.headers.sec_ch_ua) else {
        return false;
    };
    let count = brands
        .windows(4)
        .filter(|window| *window == b";v=\"")
        .count();
    claims.platform != Platform::Linux && after(brands, b"\"Chromium\"").is_some() && count < 3
}

/// Client hints from an agent that claims Firefox or Safari, which send none.
pub(crate) fn hint_foreign(observed: &Observed) -> bool {
    claims(observed).is_some_and(|claims| {
        matches!(claims.engine, Engine::Firefox | Engine::Safari)
            && observed.headers.sec_ch_ua.is_some()
    })
}

/// The client hint says HeadlessChrome.
pub(crate) fn hint_headless(observed: &Observed) -> bool {
    let brands = observed.headers.sec_ch_ua.unwrap_or_default();
    after(brands, b"HeadlessChrome").is_some()
}

/// Fetch metadata but no client hints from a Chromium that sends both; on iOS it sends none.
pub(crate) fn hint_missing(observed: &Observed) -> bool {
    hinting(observed).is_some()
        && observed.headers.sec_fetch_mode.is_some()
        && observed.headers.sec_ch_ua.is_none()
}

/// A navigation that no click or key caused, from a browser that says so of each that one did:
/// Chromium from 76, Firefox from 90. Safari never says it.
pub(crate) fn no_activation(observed: &Observed) -> bool {
    claims(observed).is_some_and(|claims| {
        let says = match claims.engine {
            Engine::Chromium => claims.major >= 76,
            Engine::Firefox => claims.major >= 90,
            Engine::Safari | Engine::Other => false,
        };
        let headers = observed.headers;
        says && for_a_window(observed)
            && headers.sec_fetch_mode == Some(b"navigate")
            && headers.sec_fetch_user.is_none()
    })
}

/// What follows the first `needle` in `text`.
fn after<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    let at = text
        .windows(needle.len())
        .position(|window| window == needle)?;
    text.get(at + needle.len()..)
}
