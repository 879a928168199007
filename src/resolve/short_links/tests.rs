//! Short links in memory against a plain map.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

type Model = HashMap<String, ShortLink>;

fn link(id: u32, url: &str, expires_at: Option<i64>, disabled: bool) -> ShortLink {
    ShortLink {
        id: ShortLinkId::new(id).unwrap(),
        destination: Destination::parse(url).unwrap(),
        expires_at: expires_at.map(Micros::new),
        disabled,
    }
}

fn plain(id: u32) -> ShortLink {
    link(id, "https://shop.example/", None, false)
}

/// What a lookup shows.
fn seen(links: &ShortLinks, code: &str) -> Option<ShortLink> {
    links.get(code).map(|found| {
        assert_eq!(found.location(), found.destination());
        ShortLink {
            id: found.id,
            destination: Destination::stored(found.destination().to_owned()),
            expires_at: found.expires_at,
            disabled: found.disabled,
        }
    })
}

fn assert_same(links: &ShortLinks, model: &Model, codes: &[String]) {
    for code in codes {
        assert_eq!(seen(links, code).as_ref(), model.get(code), "{code}");
    }
    assert_eq!(links.len(), model.len());
    let entries: Vec<_> = links.entries().collect();
    assert_eq!(entries.len(), model.len(), "each once");
    assert_eq!(entries.into_iter().collect::<Model>(), *model);
    for (code, link) in model {
        assert!(links.holds(code, link));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Put(String, ShortLink),
    Disable(String),
    Remember,
    /// Many at once, some of them as they are; whether some are left out to be missed.
    Load(Vec<(String, ShortLink)>, bool),
}

fn code() -> impl Strategy<Value = String> {
    // Few enough that codes come again, in both cases.
    "[aAbB][a-zA-B]"
}

fn any_link() -> impl Strategy<Value = ShortLink> {
    let ids = 1..u32::MAX;
    (ids, "[a-z]{0,40}", any::<Option<i64>>(), any::<bool>()).prop_map(|(id, path, end, off)| {
        link(id, &format!("https://shop.example/{path}?a=b"), end, off)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let many = prop::collection::vec((code(), any_link()), 0..200);
    prop_oneof![
        40 => (code(), any_link()).prop_map(|(code, link)| Step::Put(code, link)),
        10 => code().prop_map(Step::Disable),
        1 => Just(Step::Remember),
        1 => (many, any::<bool>()).prop_map(|(many, all)| Step::Load(many, all)),
    ]
}

fn load(links: &ShortLinks, model: &mut Model, many: Vec<(String, ShortLink)>, all: bool) {
    let before = model.clone();
    let mut draft = ShortLinksDraft::new(links.clone());
    let mut taken = HashSet::new();
    for (code, link) in before.iter().filter(|_| all) {
        assert!(!draft.take(code, link), "known already");
        taken.insert(code.clone());
    }
    for (code, link) in many {
        let news = before.get(&code) != Some(&link);
        assert_eq!(draft.take(&code, &link), news);
        taken.insert(code.clone());
        model.insert(code, link);
    }
    let lacks = before.iter().filter(|(code, _)| !taken.contains(*code));
    let lacks: Model = lacks.map(|(a, b)| (a.clone(), b.clone())).collect();
    assert_eq!(draft.missing().collect::<Model>(), lacks);
    let loaded = draft.freeze();
    let codes: Vec<_> = model.keys().cloned().collect();
    assert_same(&loaded, model, &codes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn it_is_a_map_and_copies_stay_as_they_were(
        steps in prop::collection::vec(step(), 1..400),
        strangers in prop::collection::vec("[a-c]{1,3}", 0..20),
        shards in 1_usize..4,
    ) {
        let (mut links, mut model) = (ShortLinks::with_shards(shards), Model::new());
        let mut copies = vec![(links.clone(), model.clone())];
        let mut codes: Vec<String> = strangers;
        for step in steps {
            match step {
                Step::Put(code, link) => {
                    links.insert(&code, &link);
                    codes.push(code.clone());
                    model.insert(code, link);
                }
                Step::Disable(code) => {
                    if let Some(link) = model.get_mut(&code) {
                        link.disabled = true;
                        links.insert(&code, link);
                    }
                }
                Step::Remember => copies.push((links.clone(), model.clone())),
                Step::Load(many, all) => {
                    // What was loaded is compared there; half of the time the rest goes on on it.
                    codes.extend(many.iter().map(|(code, _)| code.clone()));
                    let mut draft = ShortLinksDraft::new(links.clone());
                    for (code, link) in &many {
                        draft.take(code, link);
                    }
                    load(&links, &mut model, many, all);
                    links = draft.freeze();
                }
            }
        }
        copies.push((links, model));
        for (links, model) in &copies {
            assert_same(links, model, &codes);
        }
    }
}

#[test]
fn case_matters_and_a_part_of_a_code_is_another_code() {
    let mut links = ShortLinks::default();
    for (at, code) in ["Summer", "summer", "SUMMER", "Summe", "Summerr"]
        .iter()
        .enumerate()
    {
        links.insert(code, &plain(u32::try_from(at).unwrap() + 1));
    }
    for (at, code) in ["Summer", "summer", "SUMMER", "Summe", "Summerr"]
        .iter()
        .enumerate()
    {
        let id = links.get(code).unwrap().id.get();
        assert_eq!(usize::try_from(id).unwrap(), at + 1);
    }
    for stranger in ["sUMMER", "", "Summer/", "Summer\0"] {
        assert!(links.get(stranger).is_none(), "{stranger:?}");
    }
}

#[test]
fn codes_that_meet_in_one_tag_are_told_apart() {
    let mut draft = Draft::default();
    let codes: Vec<_> = (0..300).map(|n| format!("code{n}")).collect();
    let tag = |n: usize| if n < 150 { u32::MAX } else { 0 };
    for round in [1, 2] {
        for (n, code) in codes.iter().enumerate() {
            let link = plain(u32::try_from(n * round + 1).unwrap());
            assert!(draft.insert(tag(n), Record::of(code, &link).unwrap()));
        }
    }
    let table = draft.freeze();
    assert_eq!(table.len(), 300);
    for (n, code) in codes.iter().enumerate() {
        let (_, found) = table.find(tag(n), code.as_bytes()).unwrap();
        assert_eq!(usize::try_from(found.id.get()).unwrap(), n * 2 + 1);
        assert!(table.find(1 << 31, code.as_bytes()).is_none());
    }
}

#[test]
fn what_is_too_long_for_a_table_is_left_out() {
    let mut links = ShortLinks::default();
    links.insert(&"a".repeat(256), &plain(1));
    let long = format!("https://a.example/{}", "b".repeat(1 << 16));
    let destination = Destination::stored(long);
    links.insert(
        "long",
        &ShortLink {
            destination,
            ..plain(2)
        },
    );
    assert_eq!((links.len(), links.get("long").is_none()), (0, true));
    let most = format!("https://a.example/{}", "b".repeat(8_192 - 18));
    let (code, longest) = ("a".repeat(64), link(3, &most, Some(i64::MIN), true));
    links.insert(&code, &longest);
    assert_eq!(seen(&links, &code), Some(longest));
}

fn memory_bytes(links: &ShortLinks) -> usize {
    let of = |shard: &Arc<Shard>| {
        let tables = shard.base.memory_bytes() + shard.fresh.memory_bytes();
        size_of::<Arc<Shard>>() + size_of::<Shard>() + tables
    };
    links.shards.iter().map(of).sum()
}

#[test]
fn a_link_takes_its_texts_and_twenty_bytes() {
    const LINKS: u32 = 200_000;
    let url = |n| format!("https://shop.example/p/{n:07}?utm_source=m");
    let mut draft = ShortLinksDraft::new(ShortLinks::default());
    let mut texts = 0;
    for n in 1..=LINKS {
        let (code, link) = (format!("c{n:06}"), link(n, &url(n), None, false));
        texts += code.len() + link.destination.as_str().len();
        draft.take(&code, &link);
    }
    let mut links = draft.freeze();
    let each = |links: &ShortLinks| {
        memory_bytes(links).saturating_sub(texts) / usize::try_from(LINKS).unwrap()
    };
    assert!(each(&links) <= 20, "{} bytes and texts", each(&links));
    // Edits leave nothing behind that piles up.
    for n in 1..=LINKS / 4 {
        let edited = link(n, &url(n + 1), None, true);
        links.insert(&format!("c{n:06}"), &edited);
    }
    assert!(each(&links) <= 28, "{} bytes and texts", each(&links));
    assert_eq!(links.len(), usize::try_from(LINKS).unwrap());
}
