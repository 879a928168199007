//! A real browser, told what to do line by line (see README.md).

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub(crate) struct Browser {
    child: Child,
    tell: Option<ChildStdin>,
    hear: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    /// Starts `chromium`, `firefox` or `webkit`.
    pub(crate) fn open(engine: &str, more: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/browser.mjs");
        let mut child = Command::new("node")
            .arg(program)
            .arg(engine)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed");
        let tell = child.stdin.take();
        let hear = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut browser = Self { child, tell, hear };
        let ready = browser.next();
        assert_eq!(ready["ok"], true, "{engine} did not start: {ready}");
        browser
    }

    fn next(&mut self) -> Value {
        let line = self.hear.next().expect("the browser ended").unwrap();
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn ask(&mut self, what: &str, mut with: Value) -> Value {
        with["do"] = json!(what);
        writeln!(self.tell.as_mut().unwrap(), "{with}").unwrap();
        let answer = self.next();
        assert_eq!(answer["ok"], true, "{with}: {answer}");
        answer
    }

    /// A page to arrive at, on another origin.
    pub(crate) fn destination(&mut self, with: Value) -> String {
        let opened = self.ask("open-destination", with);
        opened["destination"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    /// The end of its input ends the browser with everything that it started.
    fn drop(&mut self) {
        drop(self.tell.take());
        let ended = self.child.wait();
        assert!(std::thread::panicking() || ended.is_ok(), "{ended:?}");
    }
}
