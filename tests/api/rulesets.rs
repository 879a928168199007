//! Rule sets of one's own in a server: kept, made live, and kept live.

use reqwest::Method;
use serde_json::{Value, json};

use cupel::domain::judgement::RuleSetId;

use crate::events::server;
use crate::harness::{Server, cupel, eventually, run};
use crate::moving::on_database;
use crate::neighbours::{HOME, campaign, follow};

const SHIPPED: &str = include_str!("../../src/judge/rulesets/default.toml");

/// By which every hit is a machine's.
fn stern(version: u32) -> String {
    let version = format!("version = {version}");
    let changes = [
        ("name = \"default\"", "name = \"stern\""),
        ("version = 2", &version),
        ("open = -2.0\nclick = -2.0", "open = 9.0\nclick = 9.0"),
    ];
    changes
        .into_iter()
        .fold(SHIPPED.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
}

fn add(server: &Server, text: &str) -> (u16, Value) {
    server.api(Method::POST, "/rulesets", Some(json!({"text": text})))
}

fn make_live(server: &Server, name: &str) -> Value {
    let (status, shown) = server.api(Method::POST, &format!("/rulesets/{name}/use"), None);
    assert_eq!(status, 200, "{shown}");
    shown
}

fn live(server: &Server) -> String {
    let kept = server.read("/rulesets");
    let kept = kept["rulesets"].as_array().unwrap().clone();
    let mut live = kept.iter().filter(|one| one["live"] == true);
    let named = live.next().unwrap()["ruleset"].as_str().unwrap().to_owned();
    assert!(live.next().is_none(), "one is live");
    let ready = reqwest::blocking::get(server.control("/readyz?verbose"));
    let ready = ready.unwrap().text().unwrap();
    assert!(ready.contains(&named), "{named}: {ready}");
    named
}

/// What the next hit is judged by, and as what.
fn judged(server: &Server) -> (String, String) {
    let (campaign, token) = campaign(server);
    follow(server, &token, 1).browser(HOME);
    let event = server
        .settled(&format!("&campaign={campaign}"), 1)
        .remove(0);
    let judgement = &event["judgement"];
    let text = |name: &str| judgement[name].as_str().unwrap().to_owned();
    (text("ruleset"), text("class"))
}

fn pair(ruleset: &str, class: &str) -> (String, String) {
    (ruleset.to_owned(), class.to_owned())
}

#[test]
fn a_rule_set_of_ones_own_judges_once_it_is_used_and_goes_on_after_a_crash() {
    let mut server = server();
    assert_eq!(judged(&server), pair("default@2", "human"));
    let (status, kept) = add(&server, &stern(1));
    assert_eq!((status, &kept["live"]), (201, &json!(false)), "{kept}");
    assert_eq!(judged(&server), pair("default@2", "human"));

    let shown = make_live(&server, "stern@1");
    assert_eq!(shown["live"], true, "{shown}");
    assert_eq!(judged(&server), pair("stern@1", "bot"));
    // What was judged before stays, with the reasons that it had.
    let events = server.events("", 3);
    let before = &events[0]["judgement"];
    assert_eq!(before["ruleset"], "default@2");
    assert_eq!(before["prior"], -2.0);

    server.kill9();
    server.revive();
    assert_eq!(live(&server), "stern@1");
    assert_eq!(judged(&server), pair("stern@1", "bot"));
    make_live(&server, "default");
    assert_eq!(live(&server), "default@2");
    assert_eq!(judged(&server), pair("default@2", "human"));
}

#[test]
fn a_rule_set_is_kept_once_under_its_name_and_only_if_it_is_whole() {
    let server = server();
    assert_eq!(add(&server, &stern(1)).0, 201);
    assert_eq!(add(&server, &stern(1)).0, 200);
    let refused = |text: &str, status: u16, says: &str| {
        let (found, answer) = add(&server, text);
        assert_eq!(found, status, "{answer}");
        assert_eq!(answer["pointer"], "/text", "{answer}");
        let detail = answer["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{says}: {detail}");
    };
    let other = stern(1).replace("\"ua.headless\" = 6.0", "\"ua.headless\" = 5.0");
    refused(&other, 409, "stern@1 is kept with another text");
    refused(&other.replace("stern", "default"), 409, "default names");
    let misspelt = stern(2).replace("\"ua.empty\"", "\"ua.emtpy\"");
    refused(&misspelt, 422, "line 37, ua.emtpy: no such signal");
    refused(&"#".repeat((1 << 20) + 1), 422, "more than 1 MiB");
    assert_eq!(add(&server, &stern(2)).0, 201);
    // Without a version it is the newest of that name.
    assert_eq!(make_live(&server, "stern")["ruleset"], "stern@2");
    let kept = server.read("/rulesets/stern@1");
    assert_eq!(kept["text"], stern(1));
    let (status, _) = server.api(Method::POST, "/rulesets/none@1/use", None);
    assert_eq!(status, 404);
}

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
    let older = SHIPPED.replace("version = 2", "version = 1");
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
    assert_eq!(live(&server), "default@2");
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
fn what_is_settled_is_changed_by_evidence_and_not_by_another_rule_set() {
    let server = server();
    let (campaign, token) = campaign(&server);
    follow(&server, &token, 1).browser(HOME);
    let filter = format!("&campaign={campaign}");
    server.settled(&filter, 1);
    assert_eq!(add(&server, &stern(1)).0, 201);
    make_live(&server, "stern");
    follow(&server, &token, 2).browser(HOME);
    let events = server.settled(&filter, 2);
    let said: Vec<_> = events
        .iter()
        .map(|event| event["judgement"]["ruleset"].as_str().unwrap())
        .collect();
    assert_eq!(said, ["default@2", "stern@1"]);
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
    assert_eq!(live(&server), "default@2");
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
    assert!(ready.contains("default@2"), "{ready}");
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
