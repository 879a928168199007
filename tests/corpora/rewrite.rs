//! The rewriter over real HTML and text parts, against what independent parsers found in them.

#![expect(
    clippy::expect_used,
    clippy::string_slice,
    reason = "a test stops where it is wrong"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use cupel::domain::campaign::LinkKind;
use cupel::rewrite::{
    LinkRef, Reason, Rewritten, Style, Survey, find_html, find_text, splice_html, splice_text,
};

const STYLE: Style<'static> = Style {
    base_url: "https://click.test.invalid",
    token_tag: "{{cupel_token}}",
    act_tag: "{{cupel_act_N}}",
    pixel: true,
};

fn corpora() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    assert!(
        path.is_dir(),
        "test material is missing: {} is no directory",
        path.display()
    );
    path
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()))
}

/// The table's rows: path, and the value of each column by its name.
fn table(path: &str) -> Vec<HashMap<String, String>> {
    let text = String::from_utf8(read(&corpora().join(path))).expect("a table is UTF-8");
    let mut lines = text.lines().map(|line| line.split('\t'));
    let names: Vec<_> = lines.next().expect("a table has a head").collect();
    let row = |cells: std::str::Split<'_, char>| {
        names
            .iter()
            .zip(cells)
            .map(|(name, cell)| ((*name).into(), cell.into()))
            .collect()
    };
    lines.map(row).collect()
}

fn sum(row: &HashMap<String, String>, columns: &[&str]) -> usize {
    columns
        .iter()
        .map(|column| row[*column].parse::<usize>().expect("a number"))
        .sum()
}

/// The part as text; a part in another character set is read with replacement characters, which
/// leaves its markup and its addresses as they are. True if there were any.
fn body(path: &str) -> (String, bool) {
    let bytes = read(&corpora().join(path));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let damaged = text.as_bytes() != bytes;
    (text, damaged)
}

fn links(survey: &Survey) -> Vec<Option<LinkRef>> {
    let kinds = [
        LinkKind::Content,
        LinkKind::Action,
        LinkKind::Unsubscribe,
        LinkKind::Honeypot,
    ];
    let numbered = (1..).zip(kinds.into_iter().cycle());
    numbered
        .take(survey.links.len())
        .map(|(number, kind)| Some(LinkRef { number, kind }))
        .collect()
}

/// Taking the changes back gives the body as it was, byte for byte.
fn assert_reversible(path: &str, before: &str, written: &Rewritten, expected: usize) {
    let mut restored = String::new();
    let mut at = 0;
    for change in &written.changes {
        restored.push_str(&written.body[at..change.after.start]);
        restored.push_str(&before[change.before.clone()]);
        at = change.after.end;
    }
    restored.push_str(&written.body[at..]);
    assert!(
        restored == before,
        "{path}: bytes outside the changes differ"
    );
    assert_eq!(written.changes.len(), expected, "{path}: number of changes");
}

/// Links with an http(s) address, whether tracked or left for a reason that is reported.
fn http_links(survey: &Survey) -> usize {
    let http = |reason| {
        matches!(
            reason,
            Reason::Invalid | Reason::TooManyTags | Reason::Block
        )
    };
    let in_origin = |value: &str| value.trim().to_ascii_lowercase().starts_with("http");
    let left = survey.left_alone.iter().filter(|left| {
        http(left.reason) || left.reason == Reason::TagInOrigin && in_origin(&left.value)
    });
    survey.links.len() + left.count()
}

#[test]
fn html_parts_keep_their_bytes_and_their_links_are_found() {
    let (mut files, mut damaged, mut agree, mut found, mut expected) = (0, 0, 0, 0, 0);
    for row in table("html/links.tsv") {
        let path = &row["path"];
        let (html, lossy) = body(path);
        let survey = find_html(&html, STYLE.base_url)
            .unwrap_or_else(|error| panic!("{path} is refused: {error}"));
        let written = splice_html(&html, &survey, &links(&survey), &STYLE);
        assert_reversible(path, &html, &written, survey.links.len() + 1);

        let again = find_html(&written.body, STYLE.base_url).expect("it was read before");
        let second = splice_html(&written.body, &again, &links(&again), &STYLE);
        assert!(
            second.body == written.body,
            "{path}: a second pass changes something"
        );

        let wanted = sum(&row, &["a_http", "a_https", "area_http", "area_https"]);
        if http_links(&survey) != wanted {
            println!(
                "{path}: found {}, independent parser {wanted}",
                http_links(&survey)
            );
        }
        agree += usize::from(http_links(&survey) == wanted);
        (files, damaged) = (files + 1, damaged + usize::from(lossy));
        (found, expected) = (found + http_links(&survey), expected + wanted);
    }
    println!("html: {agree} of {files} files agree, {found} of {expected} links, {damaged} lossy");
    assert!(
        files > 0 && agree * 1000 >= files * 995,
        "{agree} of {files} files agree"
    );
}

#[test]
fn text_parts_keep_their_bytes_and_their_urls_are_found() {
    let (mut files, mut agree, mut found, mut expected) = (0, 0, 0, 0);
    for row in table("text/links.tsv") {
        let path = &row["path"];
        let (text, _) = body(path);
        let survey = find_text(&text, STYLE.base_url).unwrap();
        let written = splice_text(&text, &survey, &links(&survey), &STYLE);
        assert_reversible(path, &text, &written, survey.links.len());
        let again = find_text(&written.body, STYLE.base_url).unwrap();
        assert_eq!(again.links, [], "{path}: a second pass finds something");

        let wanted = sum(&row, &["strict_http", "strict_https"]);
        if http_links(&survey) != wanted {
            println!("{path}: found {}, linkify-it {wanted}", http_links(&survey));
        }
        agree += usize::from(http_links(&survey) == wanted);
        files += 1;
        (found, expected) = (found + http_links(&survey), expected + wanted);
    }
    println!("text: {agree} of {files} files agree, {found} of {expected} URLs");
    assert!(
        files > 0 && agree * 100 >= files * 95,
        "{agree} of {files} files agree"
    );
}

#[test]
fn urls_in_text_end_where_linkify_ends_them() {
    let fixtures = read(&corpora().join("conformance/linkify/links.txt"));
    let fixtures = String::from_utf8(fixtures).expect("the fixtures are UTF-8");
    let (mut cases, mut agree) = (0, 0);
    for block in fixtures.split("\n\n") {
        let lines: Vec<_> = block
            .lines()
            .filter(|line| !line.starts_with('%') && !line.is_empty())
            .collect();
        let Some(text) = lines.first().and_then(|line| line.split(" % ").next()) else {
            continue;
        };
        let wanted = lines.get(1).copied().unwrap_or(text).trim();
        if !wanted.to_ascii_lowercase().starts_with("http") || lines.len() > 2 {
            continue;
        }
        let survey = find_text(text, STYLE.base_url).unwrap();
        let first = survey.links.first().map(|found| &text[found.range()]);
        cases += 1;
        agree += usize::from(first == Some(wanted));
        if first != Some(wanted) {
            println!("{text:?}: {first:?}, linkify-it {wanted:?}");
        }
    }
    println!("linkify fixtures: {agree} of {cases} agree");
    assert!(
        cases > 0 && agree * 100 >= cases * 90,
        "{agree} of {cases} agree"
    );
}
