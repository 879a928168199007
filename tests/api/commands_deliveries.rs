//! `cupel deliveries send`: acceptances in any form, and refusals that name their place.

use serde_json::json;

use crate::commands_reach::Place;
use crate::harness::Server;

#[test]
fn deliveries_are_read_as_json_and_csv() {
    let server = Server::new();
    let place = Place::directory(&server.data);
    let one = json!({"message": "1-1-1", "event": "delivered", "at": "2026-01-01T00:00:00Z"});
    let many = "1-1-1,2026-01-01T00:00:00Z\n".repeat(10_003);
    let array = vec![one.clone(); 10_002];
    for (input, accepted) in [
        (format!("{}", json!({"events": [one, one]})), 2),
        (format!("[{one}]"), 1),
        (format!("\u{feff}{one}\n{one}\n{one}\n"), 3),
        (
            "id,cupel_message,at\nanna,1-1-1,2026-01-01T00:00:00Z\n".to_owned(),
            1,
        ),
        (
            "at,message,event\n2026-01-01T00:00:00Z, 1-1-1 ,delivered\n".to_owned(),
            1,
        ),
        (
            "\u{feff}\"Message\";\"Queue\";\" AT \"\r\n\"1-1-1\";\"a,b\";\"2026-01-01T00:00:00Z\""
                .to_owned(),
            1,
        ),
        (format!("message,at\n{many}"), 10_003),
        (format!("{}\n{one}", json!(array)), 10_003),
        (format!("{}", json!({"events": array})), 10_002),
    ] {
        let (code, out, err) = place.run("deliveries send --json", &input);
        assert_eq!(code, 0, "{err}");
        assert_eq!(out, format!("{{\"accepted\":{accepted}}}\n"));
    }
}

#[test]
fn what_is_wrong_with_deliveries_is_said_with_its_place_in_the_input() {
    let server = Server::new();
    let place = Place::directory(&server.data);
    let one = json!({"message": "1-1-1", "event": "delivered", "at": "2026-01-01T00:00:00Z"});
    let mut array = vec![one; 10_002];
    array.push(json!({"message": "x", "event": "delivered", "at": "2026-01-01T00:00:00Z"}));
    let long = format!("message,at\n1-1-1,{}\n", "7".repeat(201));
    let second = "1-1-1,2026-01-01T00:00:00Z\n";
    for (input, says) in [
        ("", "standard input: is empty"),
        ("message,at\n", "no events there"),
        ("[]", "no events there"),
        (
            "7",
            "the first row needs the columns message (or cupel_message",
        ),
        ("{\"events\": 7}", "expected an array of events"),
        ("[{\"message\": \"1-1-1\"", "EOF while parsing"),
        ("message,at\n1-1-1,never\n", "standard input: line 2: at: "),
        (
            &format!("message,at\n\n{second}x,2026-01-01T00:00:00Z\n"),
            "line 4: message: write the message as mint gave it",
        ),
        (
            "{\"message\": \"1-1-1\", \"event\": \"bounced\", \"at\": \"2026-01-01T00:00:00Z\"}",
            "standard input: event 1: event: ",
        ),
        (
            &json!(array).to_string(),
            "standard input: event 10003: message: write the message as mint gave it",
        ),
        (
            &format!("{} {{", json!(array[..10_000])),
            "; 10000 events were accepted before",
        ),
        (&long, "line 2 has a value that is too long"),
        (
            "message,at\n1-1-1\n",
            "line 2: 1 column where the first row has 2",
        ),
    ] {
        let (code, out, err) = place.run("deliveries send", input);
        assert_eq!(
            (code, out.as_str(), err.lines().count()),
            (65, "", 1),
            "{says}: {err}"
        );
        assert!(err.contains(says), "{says}: {err}");
    }
}
