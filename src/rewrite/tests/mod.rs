//! The room's rules as tables; here the ones for text, and for hostile bodies of both kinds.

mod destinations;
mod html;

use super::*;

const BASE: &str = "https://t.example";
const STYLE: Style<'static> = Style {
    base_url: BASE,
    token_tag: "{{cupel_token}}",
    act_tag: "{{cupel_act_N}}",
    pixel: false,
};

fn numbered(survey: &Survey, kind: LinkKind) -> Vec<Option<LinkRef>> {
    (1..)
        .map(|number| Some(LinkRef { number, kind }))
        .take(survey.links.len())
        .collect()
}

fn html(body: &str) -> String {
    let survey = find_html(body, BASE).unwrap();
    let out = splice_html(body, &survey, &numbered(&survey, LinkKind::Content), &STYLE).body;
    let again = find_html(&out, BASE).unwrap();
    assert_eq!(again.links, [], "a second pass finds nothing new in {out}");
    out
}

fn text(body: &str) -> String {
    let survey = find_text(body, BASE).unwrap();
    let out = splice_text(body, &survey, &numbered(&survey, LinkKind::Content), &STYLE).body;
    assert_eq!(
        find_text(&out, BASE).unwrap().links,
        [],
        "a second pass finds nothing new in {out}"
    );
    out
}

fn registered(value: &str) -> (String, Vec<String>) {
    let survey = find_html(&format!("<a href=\"{value}\">x</a>"), BASE).unwrap();
    let found = survey
        .links
        .first()
        .unwrap_or_else(|| panic!("{value}: {survey:?}"));
    (found.registered().to_owned(), found.values().to_vec())
}

fn reason(tag: &str) -> Reason {
    let survey = find_html(tag, BASE).unwrap();
    assert_eq!(html(tag), tag);
    survey
        .left_alone
        .first()
        .unwrap_or_else(|| panic!("{tag}: {survey:?}"))
        .reason
}

#[test]
fn urls_in_text_end_where_people_expect() {
    let url = "https://t.example/c/{{cupel_token}}/1";
    for (before, after) in [
        ("See http://x.example.", "See ^."),
        ("HTTPS://x.example/a?b=c, and", "^, and"),
        ("(https://x.example/a_(b))!", "(^)!"),
        ("<https://x.example/a>", "<^>"),
        ("[x](http://x.example/)", "[x](^)"),
        ("'http://x.example','y'", "'^','y'"),
        ("*http://x.example/*", "*^*"),
        ("a\r\nhttp://x.example/é?\r\nb", "a\r\n^?\r\nb"),
        ("http://x.example/?e={{ email }}.", "^?v1={{ email }}."),
        (
            "http://x.example/?e=*|EMAIL|*&f=<%= a.b %>\n",
            "^?v1=*|EMAIL|*&v2=<%= a.b %>\n",
        ),
        ("http://x.example/\u{a0}b…", "^\u{a0}b…"),
        ("“http://x.example”", "“^”"),
        ("http://[::1]:80/a]", "^]"),
    ] {
        assert_eq!(text(before), after.replace('^', url));
    }
    for body in [
        "",
        "http://",
        "http://.",
        "https://?",
        "xhttp://x.example",
        "_http://x.example",
        "www.x.example",
        "mailto:a@x.example",
        "http:/x.example",
        "http://#",
        "https://t.example/c/{{x y}}/1.",
        "https://{{host}}/a",
        "http://-x.example",
    ] {
        assert_eq!(text(body), body);
    }
    let left = find_text("https://{{host}}/a", BASE).unwrap().left_alone;
    assert_eq!(
        left.first().map(|left| left.reason),
        Some(Reason::TagInOrigin)
    );
}

#[test]
fn hostile_bodies_neither_panic_nor_hang() {
    for piece in [
        "<a href='http://x.example/?e={{a}}'>",
        "<b>",
        "</b>",
        "<i><b></i>",
        "{{",
        "{a{",
        "%%=",
        "<%",
        "<",
        "&",
        "<a href=",
        "[a,",
        "[[",
        "http://((",
        "http://",
        "</body>",
        "<svg><title>",
        "<a href=\"http://é&#x",
        "<!--",
        "-a",
        "%7B%7B",
        "%a_",
    ] {
        let body = piece.repeat(100_000 / piece.len());
        let survey = find_html(&body, BASE).unwrap();
        splice_html(
            &body,
            &survey,
            &numbered(&survey, LinkKind::Content),
            &STYLE,
        );
        let survey = find_text(&body, BASE).unwrap();
        splice_text(
            &body,
            &survey,
            &numbered(&survey, LinkKind::Content),
            &STYLE,
        );
        let quoted = format!("<a href=\"http://x.example/{body}\">");
        assert!(find_html(&quoted, BASE).is_ok(), "{piece}");
    }
}

#[test]
fn a_body_cut_anywhere_is_read() {
    let whole = "<body><a href='http://x.example/é?e={{ é }}&amp;f=%%x%%'>é</a><!-- --></body>";
    for (at, _) in whole.char_indices() {
        let cut = whole.get(..at).unwrap();
        html(cut);
        text(cut);
    }
}

#[test]
fn a_body_that_is_written_again_is_never_longer_than_was_said() {
    let style = Style {
        token_tag: "{{'token'}}",
        act_tag: "{{'act' N}}",
        pixel: true,
        ..STYLE
    };
    let html = "<a href='http://x.example/?e={{a}}'>1</a><a href=\"http://x.example/\">2</a>\
                <a href=http://x.example/?e=*|B|*&f={{c}}>3</a><area href='//y.example'></body>";
    let survey = find_html(html, BASE).unwrap();
    let most = written_bytes_max(html.len(), &survey, &style);
    let written = |kind| {
        splice_html(html, &survey, &numbered(&survey, kind), &style)
            .body
            .len()
    };
    for kind in [LinkKind::Content, LinkKind::Action, LinkKind::Unsubscribe] {
        assert!(
            written(kind) <= most,
            "{kind:?}: {} of {most}",
            written(kind)
        );
    }
    let replaced = survey.links.iter().map(|found| found.range().len());
    let spare = replaced.sum::<usize>() + survey.links.len() * 2 * 9;
    assert_eq!(
        written(LinkKind::Action) + spare,
        most,
        "but for the numbers"
    );
}

#[test]
fn more_destinations_than_a_mail_has_are_refused() {
    let (html, text) = ("<a href=x>", "http://x.example ");
    for (count, taken) in [(DESTINATIONS_MAX, true), (DESTINATIONS_MAX + 1, false)] {
        let found = find_html(&html.repeat(count), BASE);
        assert_eq!(found.is_ok(), taken, "{:?}", found.err());
        let found = find_text(&text.repeat(count), BASE);
        assert_eq!(found.is_ok(), taken, "{:?}", found.err());
    }
}
