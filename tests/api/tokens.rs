//! Token v1 as a property, and against a second implementation.

use std::path::Path;
use std::process::Command;

use cupel::domain::campaign::{CampaignId, TenantId};
use cupel::domain::keys::{KeyState, RingKey, Secret, TenantKeys};
use cupel::domain::message::{MessageId, RecipientKey};
use cupel::domain::token::{Minted, Token};
use proptest::prelude::*;
use serde_json::Value;

fn keys(ring: u8, tenant: u32) -> TenantKeys {
    let ring = [RingKey {
        id: 7,
        state: KeyState::Signing,
        secret: Secret::new([ring; 32]),
    }];
    let tenant = TenantId::new(tenant).unwrap();
    TenantKeys::derive(&ring, &Secret::new([9; 32]), tenant).unwrap()
}

prop_compose! {
    fn messages()(campaign in 1_u32.., minted_at: u32, number: u32) -> MessageId {
        MessageId { campaign: CampaignId::new(campaign).unwrap(), minted_at, number }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_was_signed_is_read_back(message in messages(), recipient: [u8; 10]) {
        let keys = keys(1, 1);
        let recipient = RecipientKey::from_bytes(recipient);
        let minted = Minted::sign(message, recipient, keys.signing().unwrap());
        let token = minted.token();
        prop_assert_eq!(token.len(), 48);
        for parsed in [Token::parse(token.as_bytes()), Token::parse_verp(&minted.verp())] {
            let verified = parsed.unwrap().verify(&keys).unwrap();
            prop_assert_eq!(verified.payload.message, message);
            prop_assert_eq!(verified.payload.recipient, recipient);
        }
        let upper = minted.verp().to_ascii_uppercase();
        prop_assert!(Token::parse_verp(&upper).unwrap().verify(&keys).is_some());
        let claimed = Token::claimed_campaign_of(token.as_bytes());
        prop_assert_eq!(claimed, Some(message.campaign));
    }

    #[test]
    fn every_flipped_bit_is_refused(message in messages(), recipient: [u8; 10]) {
        let keys = keys(1, 1);
        let minted =
            Minted::sign(message, RecipientKey::from_bytes(recipient), keys.signing().unwrap());
        let bytes = data_encoding::BASE64URL_NOPAD.decode(minted.token().as_bytes()).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let text = data_encoding::BASE64URL_NOPAD.encode(&flipped);
            let verified = Token::parse(text.as_bytes()).and_then(|token| token.verify(&keys));
            prop_assert!(verified.is_none(), "bit {}", bit);
        }
    }

    #[test]
    fn foreign_keys_and_other_spellings_are_refused(message in messages(), at in 0_usize..48) {
        let own = keys(1, 1);
        let minted = Minted::sign(message, RecipientKey::NONE, own.signing().unwrap());
        let token = minted.token();
        let parsed = Token::parse(token.as_bytes()).unwrap();
        prop_assert!(parsed.verify(&keys(2, 1)).is_none(), "another ring");
        prop_assert!(parsed.verify(&keys(1, 2)).is_none(), "another tenant");
        for other in [
            format!("{token}="),
            format!("{token}A"),
            token[..at].to_owned(),
            format!(" {token}"),
            token.replace('-', "+").replace('_', "/"),
            format!("{}%{}", &token[..at], &token[at..]),
        ] {
            prop_assert!(other == token || Token::parse(other.as_bytes()).is_none(), "{}", other);
        }
        let verp = minted.verp();
        for other in [format!("{verp}a"), verp[1..].to_owned(), verp.replace("cb-", "cc-")] {
            prop_assert!(Token::parse_verp(&other).is_none(), "{}", other);
        }
    }

    #[test]
    fn an_act_tag_fits_one_link_of_one_message(
        one in messages(), two in messages(), n: u32, m: u32, bit in 0_usize..96,
    ) {
        let keys = keys(1, 1);
        let key = keys.signing().unwrap();
        let sign = |message| Minted::sign(message, RecipientKey::NONE, key);
        let verified = |minted: &Minted| {
            Token::parse(minted.token().as_bytes()).unwrap().verify(&keys).unwrap()
        };
        let (first, second) = (sign(one), sign(two));
        let tag = first.act(n, key);
        prop_assert_eq!(tag.len(), 16);
        prop_assert!(verified(&first).authorises(tag.as_bytes(), n, &keys));
        prop_assert!(n == m || !verified(&first).authorises(tag.as_bytes(), m, &keys));
        prop_assert!(one == two || !verified(&second).authorises(tag.as_bytes(), n, &keys));
        let mut bytes = data_encoding::BASE64URL_NOPAD.decode(tag.as_bytes()).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let flipped = data_encoding::BASE64URL_NOPAD.encode(&bytes);
        prop_assert!(!verified(&first).authorises(flipped.as_bytes(), n, &keys));
        let from_token = &first.token()[32..];
        prop_assert!(!verified(&first).authorises(from_token.as_bytes(), n, &keys));
    }
}

fn project(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_second_implementation_makes_the_same_vectors() {
    let python = |args: &[&str]| {
        let done = Command::new("python3")
            .arg(project("tests/token/token.py"))
            .args(args)
            .output()
            .expect("python3 is needed");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
        done.stdout
    };
    let vectors = project("docs/token-vectors.json");
    python(&["verify", vectors.to_str().unwrap()]);
    assert_eq!(
        python(&["generate"]),
        std::fs::read(&vectors).unwrap(),
        "nothing was left out"
    );
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
}

/// The vector file's ring for one of its tenants.
fn vector_keys(vectors: &Value, tenant: &Value) -> TenantKeys {
    let secret = |hex: &str| {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        Secret::new(bytes.try_into().unwrap())
    };
    let ring: Vec<_> = vectors["ring"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| RingKey {
            id: u8::try_from(key["id"].as_u64().unwrap()).unwrap(),
            state: KeyState::from_name(text(key, "state")).unwrap(),
            secret: secret(text(key, "key_hex")),
        })
        .collect();
    let tenant = TenantId::new(number(tenant)).unwrap();
    TenantKeys::derive(
        &ring,
        &secret(text(vectors, "recipient_secret_hex")),
        tenant,
    )
    .unwrap()
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}

fn check_minted(vectors: &Value, vector: &Value) {
    let keys = vector_keys(vectors, &vector["tenant"]);
    let campaign = CampaignId::new(number(&vector["campaign"])).unwrap();
    let message = MessageId {
        campaign,
        minted_at: number(&vector["minted_at"]),
        number: number(&vector["number"]),
    };
    let recipient = match vector["recipient"].as_str() {
        Some(id) => keys.recipient_key(id, campaign).unwrap(),
        None => RecipientKey::NONE,
    };
    let key = keys
        .get(u8::try_from(number(&vector["key_id"])).unwrap())
        .unwrap();
    let minted = Minted::sign(message, recipient, key);
    assert_eq!(minted.token(), text(vector, "token"), "{vector}");
    assert_eq!(minted.verp(), text(vector, "verp"), "{vector}");
    assert_eq!(message.to_string(), text(vector, "message"));
    for (n, tag) in vector["acts"].as_object().unwrap() {
        assert_eq!(
            minted.act(n.parse().unwrap(), key),
            tag.as_str().unwrap(),
            "{n}: {vector}"
        );
    }
    let verified = Token::parse(text(vector, "token").as_bytes())
        .unwrap()
        .verify(&keys)
        .unwrap();
    assert_eq!(
        (verified.payload.message, verified.payload.recipient),
        (message, recipient)
    );
}

fn check_refused(vectors: &Value, vector: &Value) {
    let keys = vector_keys(vectors, &vector["tenant"]);
    let given = text(vector, "text");
    let parsed = match text(vector, "form") {
        "token" => Token::parse(given.as_bytes()),
        "verp" => Token::parse_verp(given),
        _ => {
            let token = Token::parse(text(vector, "token").as_bytes()).unwrap();
            let verified = token.verify(&keys).unwrap();
            let act = number(&vector["act"]);
            assert!(
                !verified.authorises(given.as_bytes(), act, &keys),
                "{vector}"
            );
            return;
        }
    };
    match text(vector, "reason") {
        "malformed" => assert!(parsed.is_none(), "{vector}"),
        _ => assert!(parsed.unwrap().verify(&keys).is_none(), "{vector}"),
    }
}

#[test]
fn the_vectors_hold_here_too() {
    let vectors = std::fs::read(project("docs/token-vectors.json")).unwrap();
    let vectors: Value = serde_json::from_slice(&vectors).unwrap();
    let all = |name: &str| vectors[name].as_array().unwrap().clone();
    for vector in all("tokens") {
        check_minted(&vectors, &vector);
    }
    for vector in all("refused") {
        check_refused(&vectors, &vector);
    }
    for vector in all("verp_accepted") {
        let keys = vector_keys(&vectors, &vector["tenant"]);
        assert!(
            Token::parse_verp(text(&vector, "text"))
                .unwrap()
                .verify(&keys)
                .is_some()
        );
    }
    for vector in all("refused_recipients") {
        let keys = vector_keys(&vectors, &1.into());
        let campaign = CampaignId::new(1).unwrap();
        let refused = vector["recipient"]
            .as_str()
            .map(|id| keys.recipient_key(id, campaign));
        assert!(refused.flatten().is_none(), "{vector}");
    }
}
