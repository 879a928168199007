//! Rule sets measured against what people and machines show of themselves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::events::{CHROME, Hits, NAVIGATION, server};
use crate::harness::{Server, cupel, eventually, run};
use crate::neighbours::{CLOUD, FIREFOX, FIREFOX_SENDS, HOME};

/// Somebody at home who presses, and a scanner that sweeps; two messages.
fn reader_and_scanner(server: &Server) {
    let campaign = server.campaign();
    for at in 1..=4 {
        let url = format!("https://shop.example/{at}");
        server.link(campaign, json!({"url": url}));
    }
    server.link(
        campaign,
        json!({"url": "https://shop.example/confirm", "kind": "action"}),
    );
    let both = server.mint(campaign, &["reader", "other"]);
    let action = |at: usize| Hits {
        server,
        path: format!("/a/{}/{}/5", both[at].token, both[at].act(5)),
    };
    action(0).send(Method::GET, HOME, FIREFOX, FIREFOX_SENDS);
    action(0).send(Method::POST, HOME, FIREFOX, FIREFOX_SENDS);
    for link in 1..=4 {
        let path = format!("/c/{}/{link}", both[1].token);
        Hits { server, path }.browser(CLOUD);
    }
    action(1).send(Method::GET, CLOUD, CHROME, NAVIGATION);
    server.settled("", 7);
}

/// Evidence, kind and hits of each row, and how many of them are judged human.
fn rows(of: &Value) -> Vec<(String, String, [u64; 3])> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let number = |row: &Value, at: &str| row.pointer(at).unwrap().as_u64().unwrap();
    let rows = of.as_array().unwrap().iter();
    let counts = ["/hits", "/raw/human", "/adjusted/human"];
    rows.map(|row| {
        let counts = counts.map(|at| number(row, at));
        (text(row, "evidence"), text(row, "kind"), counts)
    })
    .collect()
}

#[test]
fn a_rule_set_is_measured_by_who_presses_and_who_sweeps() {
    let server = server();
    let none = server.read("/calibration");
    assert_eq!((&none["weeks"], &none["all"]), (&json!([]), &json!([])));
    let calibrate = |words: &[&str]| {
        let mut command = cupel();
        command.arg("calibrate").args(words);
        run(command.arg("--data").arg(&server.data))
    };
    let (code, printed, err) = calibrate(&[]);
    assert_eq!(code, 0, "{err}");
    assert!(printed.starts_with("no evidence to measure default@3"));
    reader_and_scanner(&server);
    let row = |evidence: &str, kind: &str, counts| (evidence.to_owned(), kind.to_owned(), counts);
    let found = eventually(
        "evidence",
        || server.read("/calibration"),
        |found| found["all"].as_array().unwrap().len() == 4,
    );
    let wanted = [
        row("press", "page", [1, 1, 1]),
        row("press", "press", [1, 1, 1]),
        row("sweep", "click", [4, 0, 0]),
        row("sweep", "page", [1, 0, 0]),
    ];
    assert_eq!(rows(&found["all"]), wanted, "{found}");
    let weeks = found["weeks"].as_array().unwrap();
    assert_eq!(weeks.len(), 1);
    assert_eq!(rows(&weeks[0]["rows"]), wanted);
    let share = &found["all"][2]["raw"]["share"];
    assert_eq!(
        (&share["percent"], &share["low"]),
        (&json!(0.0), &json!(0.0))
    );
    assert!(share["high"].as_f64().unwrap() > 40.0, "{share}");

    // One by which everybody is a person: it needs to be kept, and not to be live.
    let text = include_str!("../../src/judge/rulesets/default.toml");
    let mild = text
        .replace("name = \"default\"", "name = \"mild\"")
        .replace("open = -2.0\nclick = -2.0", "open = -20\nclick = -20");
    server.post("/rulesets", json!({"text": mild}));
    let found = server.read("/calibration?ruleset=mild&weeks=1");
    assert_eq!(found["ruleset"], "mild@3");
    assert!(
        rows(&found["all"])
            .iter()
            .all(|(_, _, [all, raw, adjusted])| all == raw && raw == adjusted),
        "{found}"
    );
    let (code, printed, err) = calibrate(&["--ruleset", "mild"]);
    assert_eq!(code, 0, "{err}");
    let sweep = printed.lines().find(|line| line.contains("sweep")).unwrap();
    assert!(
        sweep.contains("100.00 %") && sweep.contains("machine"),
        "{printed}"
    );
    let (code, _, err) = calibrate(&["--ruleset", "none"]);
    assert_eq!(code, 66, "{err}");
    let (status, refused) = server.api(Method::GET, "/calibration?weeks=0", None);
    assert_eq!((status, &refused["pointer"]), (422, &json!("/weeks")));
}
