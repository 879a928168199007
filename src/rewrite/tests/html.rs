//! Where a tracked URL and the pixel go in HTML, and how they are written.

use super::*;

#[test]
fn a_destination_becomes_a_tracked_url_in_its_own_quotes() {
    let url = "https://t.example/c/{{cupel_token}}/1";
    for (before, after) in [
        (
            "<a href=\"http://x.example/\">",
            format!("<a href=\"{url}\">"),
        ),
        (
            "<A\n HREF = 'HTTPS://x.example/a?b&amp;c'\tid=1>",
            format!("<A\n HREF = '{url}'\tid=1>"),
        ),
        ("<a href=http://x.example/>y", format!("<a href={url}>y")),
        (
            "<a href=http://x.example class=b>",
            format!("<a href={url} class=b>"),
        ),
        (
            "<map><area href=\" \n https://x.example \">",
            format!("<map><area href=\"{url}\">"),
        ),
        (
            "<a href=\"ht\ntps&#58;//x.example/a\tb\">",
            format!("<a href=\"{url}\">"),
        ),
        (
            "<a href=\"http://x.example/\" href=\"http://y.example/\">",
            format!("<a href=\"{url}\" href=\"http://y.example/\">"),
        ),
        (
            "<noscript><a href=\"http://x.example\"></noscript>",
            format!("<noscript><a href=\"{url}\"></noscript>"),
        ),
        (
            "<a href=http://x.example/?e={{ email }}>",
            format!("<a href=\"{url}?v1={{{{ email }}}}\">"),
        ),
        (
            "<a href=http://x.example/?e={{ \"a\" }}>",
            format!("<a href='{url}?v1={{{{ \"a\" }}}}'>"),
        ),
        (
            "<a href=\"https://x.example/?n={{ p|lookup:\"N\" }}&amp;m=%%m%%\">",
            format!("<a href=\"{url}?v1={{{{ p|lookup:\"N\" }}}}&amp;v2=%%m%%\">"),
        ),
        (
            "<a href='https://x.example/?n={{ p|d:&quot;N&quot; }}'>",
            format!("<a href='{url}?v1={{{{ p|d:&quot;N&quot; }}}}'>"),
        ),
    ] {
        assert_eq!(html(before), after);
    }
}

#[test]
fn each_kind_has_its_form() {
    let body = "<a href='https://x.example/'>";
    let survey = find_html(body, BASE).unwrap();
    for (kind, path) in [
        (LinkKind::Content, "c/{{cupel_token}}/7"),
        (LinkKind::Honeypot, "c/{{cupel_token}}/7"),
        (LinkKind::Action, "a/{{cupel_token}}/{{cupel_act_7}}/7"),
        (LinkKind::Unsubscribe, "u/{{cupel_token}}/{{cupel_act_0}}/0"),
    ] {
        let link = Some(LinkRef { number: 7, kind });
        let out = splice_html(body, &survey, &[link], &STYLE);
        assert_eq!(out.body, format!("<a href='https://t.example/{path}'>"));
    }
    for (act_tag, written) in [
        ("{{NEWS_N_ID}}", "{{NEWS_7_ID}}"),
        ("%ACTN%", "%ACT7%"),
        ("x", "x"),
    ] {
        let style = Style {
            act_tag,
            token_tag: "it's",
            ..STYLE
        };
        let link = Some(LinkRef {
            number: 7,
            kind: LinkKind::Action,
        });
        let out = splice_html(body, &survey, &[link], &style).body;
        assert_eq!(
            out,
            format!("<a href='https://t.example/a/it&#39;s/{written}/7'>")
        );
    }
    assert_eq!(splice_html(body, &survey, &[None], &STYLE).body, body);
}

#[test]
fn what_is_no_tag_is_no_link() {
    for body in [
        "<!-- <a href=\"http://x.example\"> -->",
        "<!--[if mso]><a href=\"http://x.example\"></a><![endif]-->",
        "<script>\"<a href='http://x.example'>\"</script>",
        "<style>a{}<a href=http://x.example></style>",
        "<title><a href=http://x.example></title>",
        "<p title=\"<a href='http://x.example'>\">",
        "<abbr href=http://x.example>",
        "<a href=\"http://x.example",
        "<a href=\"http://x.example\"",
        "<a xhref=\"http://x.example\">",
    ] {
        assert_eq!(html(body), body);
    }
}

#[test]
fn the_pixel_goes_before_the_last_real_end_of_body_and_only_once() {
    let style = Style {
        pixel: true,
        ..STYLE
    };
    let write = |body: &str| splice_html(body, &find_html(body, BASE).unwrap(), &[], &style).body;
    let pixel = write("");
    assert!(pixel.starts_with("<img src=\"https://t.example/o/{{cupel_token}}.gif\" width=\"1\""));
    for (head, tail) in [
        ("<body>x", "</body></html>"),
        ("x", "</BODY\n>"),
        (
            "<body></body>x",
            "</body><!-- </body> --><p title='</body>'><script></body></script>",
        ),
        ("<p>no end", ""),
        ("<!-- </body> -->", ""),
        ("a <", ""),
        ("<!-- x", ""),
        ("<title>a", ""),
        ("<script>a", ""),
        ("<body><ebody>", "</body><ebody>"),
        ("<div></p title=\"</body>\">", ""),
        ("<table><tr><td>é", "</body >é<style></body></style>"),
    ] {
        let once = write(&format!("{head}{tail}"));
        assert_eq!(once, format!("{head}{pixel}{tail}"));
        assert_eq!(write(&once), once);
    }
    for cut in [
        "<p></body",
        "<a href=\"http://x.example",
        "<a href=http://x.example",
        "a</b",
        "<a ",
    ] {
        assert_eq!(write(cut), cut, "a cut body has no place for a pixel");
    }
}
