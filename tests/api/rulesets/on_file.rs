//! Rule sets of one's own where the file is looked at that the store is in.

use serde_json::{Value, json};

use cupel::domain::judgement::RuleSetId;

use super::{SHIPPED, add, judged, live, make_live, pair, stern};
use crate::harness::{Server, cupel, eventually, run};
use crate::moving::on_database;

#[test]
fn what_was_live_last_judges_while_the_store_is_away() {
    let mut server = Server::on_file();
    assert_eq!(add(&server, &stern(1)).0, 201);
    make_live(&server, "stern");
    let campaign = server.campaign();
    server.link(campaign, json!({"url": "https://shop.example/"}));
    let token = server.mint(campaign, &["r"])[0].token.clone();
    let copy = server.data.join("live-ruleset");
    eventually(
        "a copy beside the journal",
        || std::fs::read_to_string(&copy).unwrap_or_default(),
        |text| *text == stern(1),
    );
    server.stop();
    let (store, aside) = (server.data.join("cupel.sqlite"), server.data.join("aside"));
    std::fs::rename(&store, &aside).unwrap();
    server.revive();
    assert_eq!(server.get(&format!("/c/{token}/1")).status(), 302);
    server.stop();
    let mut inspect = cupel();
    inspect.args(["journal", "inspect", "--json", "--data"]);
    let (code, printed, err) = run(inspect.arg(&server.data));
    assert_eq!(code, 0, "{err}");
    let hit = printed.lines().find(|line| line.contains("\"click\""));
    let hit: Value = serde_json::from_str(hit.unwrap()).unwrap();
    let said = hit.to_string();
    assert_eq!(hit["score"], 100.0, "{said}");
    // A copy that cannot be read is no reason not to judge.
    std::fs::write(&copy, "name = ").unwrap();
    server.revive();
    assert_eq!(server.get(&format!("/c/{token}/1")).status(), 302);
    let log = server.log();
    assert!(
        log.contains("left out") && log.contains("live-ruleset"),
        "{log}"
    );
}

#[test]
fn a_newer_shipped_rule_set_takes_the_place_of_an_older_one_and_of_no_other() {
    let mut server = Server::on_file();
    server.stop();
    let older = SHIPPED.replace("version = 3", "version = 1");
    let older = older
        .replace("\"near.mail_client_there\"", "# ")
        .replace('\'', "");
    let id = RuleSetId::of(&older).0;
    let keep = format!(
        "DELETE FROM ruleset_uses; INSERT INTO rulesets VALUES ({id}, 'default', 1, '{older}', 1);
        INSERT INTO ruleset_uses (ruleset, at, shipped) VALUES ({id}, 1, 1)"
    );
    on_database(&server.data, &keep);
    // As it was when that version ran here last.
    std::fs::write(server.data.join("live-ruleset"), &older).unwrap();
    server.revive();
    assert_eq!(live(&server), "default@3");
    let kept = server.read("/rulesets/default@1");
    assert_eq!(kept["error"], Value::Null, "{kept}");
    // Who asks for the older one keeps it.
    make_live(&server, "default@1");
    server.stop();
    server.revive();
    assert_eq!(live(&server), "default@1");
    assert_eq!(judged(&server), pair("default@1", "human"));
}

#[test]
fn a_store_that_has_lost_the_live_rule_set_is_given_it_back() {
    let mut server = Server::on_file();
    assert_eq!(add(&server, &stern(1)).0, 201);
    make_live(&server, "stern");
    server.stop();
    on_database(
        &server.data,
        "DELETE FROM ruleset_uses; DELETE FROM rulesets",
    );
    server.revive();
    assert_eq!(live(&server), "stern@1");
    // A backup from before says that another is live; the text is there all the same.
    server.stop();
    on_database(
        &server.data,
        "UPDATE ruleset_uses SET shipped = 1,
            ruleset = (SELECT id FROM rulesets WHERE name = 'default');
        DELETE FROM rulesets WHERE name = 'stern'",
    );
    server.revive();
    assert_eq!(live(&server), "default@3");
    assert_eq!(server.read("/rulesets/stern@1")["text"], stern(1));
}

/// Ids have 16 bits.
#[test]
fn a_rule_set_with_the_id_of_the_shipped_one_does_not_take_its_place() {
    let mut server = Server::on_file();
    server.stop();
    let id = RuleSetId::of(SHIPPED);
    let mut texts = (0..).map(|n: u32| format!("# {n}\n{}", stern(1)));
    let text = texts.find(|text| RuleSetId::of(text) == id).unwrap();
    let text = text.replace('\'', "''");
    on_database(
        &server.data,
        &format!(
            "DELETE FROM ruleset_uses; DELETE FROM rulesets;
            INSERT INTO rulesets VALUES ({}, 'stern', 1, '{text}', 1)",
            id.0
        ),
    );
    server.revive();
    assert!(server.log().contains("another rule set with its id"));
    let ready = reqwest::blocking::get(server.control("/readyz?verbose"));
    let ready = ready.unwrap().text().unwrap();
    assert!(ready.contains("default@3"), "{ready}");
}

#[test]
fn commands_keep_print_and_use_rule_sets() {
    let server = Server::on_file();
    let file = server.data.join("stern.toml");
    std::fs::write(&file, stern(1)).unwrap();
    let ruleset = |words: &[&str]| {
        let mut command = cupel();
        command.arg("ruleset").args(words);
        run(command.arg("--data").arg(&server.data))
    };
    let (code, added, err) = ruleset(&["add", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(added.contains("stern@1"), "{added}");
    let (code, used, err) = ruleset(&["use", "stern", "--json"]);
    assert_eq!(code, 0, "{err}");
    let used: Value = serde_json::from_str(&used).unwrap();
    assert_eq!(
        (&used["ruleset"], &used["live"]),
        (&json!("stern@1"), &json!(true))
    );
    let (_, listed, _) = ruleset(&["list"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let (code, printed, err) = ruleset(&["print", "stern@1"]);
    assert_eq!((code, printed), (0, stern(1)), "{err}");
    let (code, _, err) = ruleset(&["use", "none"]);
    assert_eq!(code, 66, "{err}");
    assert!(err.contains("no such rule set"), "{err}");
}
