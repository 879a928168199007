//! `cupel deliveries`: acceptances in, from JSON or CSV.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Failure;
use super::ask::Ask;
use super::connection::{Connection, Request};
use super::lines::{Lines, count};

/// Events of one call; the API takes no more, and no larger body.
const EVENTS_MAX: usize = 10_000;
/// Longest value of a member: no time or message is nearly so long.
const VALUE_BYTES_MAX: usize = 200;

#[derive(Debug, clap::Args)]
pub(super) struct Deliveries {
    #[command(flatten)]
    ask: Ask,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Send delivery events, which anchor the judge's times
    ///
    /// JSON: objects with message, event and at, one after the other, in an array, or in the API's
    /// {"events": […]}. CSV: columns of these names, event being "delivered" if left out.
    ///
    /// Example: cupel deliveries send accepted.csv
    Send {
        /// The events; standard input if - or left out
        file: Option<PathBuf>,
    },
}

impl Deliveries {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Self { ask, what } = self;
        let What::Send { file } = what;
        let file = file.filter(|file| file != Path::new("-"));
        if file.is_none() && ask.reach.takes_stdin() {
            let line = "standard input is the key already; name the events' file";
            return Err(Failure::new(Failure::USAGE, line));
        }
        let shown = file.clone().unwrap_or_else(|| "standard input".into());
        let input: Box<dyn Read> = match &file {
            Some(file) => {
                Box::new(File::open(file).map_err(|error| Failure::no_input(file, &error))?)
            }
            None => Box::new(std::io::stdin()),
        };
        let mut input = BufReader::new(input);
        let json = is_json(&mut input).map_err(|error| Failure::no_input(&shown, &error))?;
        let mut sender = Sender {
            connection: ask.reach.open()?,
            file: shown.display().to_string(),
            waiting: Vec::new(),
            sent: 0,
        };
        if json {
            sender.json(input)?;
        } else {
            sender.csv(input)?;
        }
        let sent = sender.finish()?;
        let mut lines = Lines::new();
        if ask.json {
            lines.say(json!({"accepted": sent}));
        } else {
            lines.say(format_args!("accepted {}", count(sent, "event")));
        }
        lines.finish()
    }
}

/// Whether what comes begins as JSON does.
fn is_json(input: &mut impl BufRead) -> std::io::Result<bool> {
    if input.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        input.consume(3);
    }
    let begin = input.fill_buf()?;
    let first = begin.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(matches!(first, Some(b'{' | b'[')))
}

/// Sends events in calls as large as the API takes.
struct Sender {
    connection: Connection,
    file: String,
    waiting: Vec<Value>,
    sent: u64,
}

impl Sender {
    fn json(&mut self, input: impl Read) -> Result<(), Failure> {
        let values = serde_json::Deserializer::from_reader(input).into_iter::<Value>();
        for value in values {
            let value = value.map_err(|error| self.wrong(error))?;
            let several = match value {
                Value::Array(events) => events,
                Value::Object(mut object) => match object.remove("events") {
                    Some(Value::Array(events)) => events,
                    Some(_) => return Err(self.wrong("events is no array")),
                    None => vec![Value::Object(object)],
                },
                _ => return Err(self.wrong("write objects with message, event and at")),
            };
            for event in several {
                self.add(event)?;
            }
        }
        Ok(())
    }

    fn csv(&mut self, input: impl Read) -> Result<(), Failure> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(input);
        let header = reader.headers().map_err(|error| self.wrong(error))?;
        let at = |name: &str| header.iter().position(|head| head == name);
        let (message, event, time) = (at("message"), at("event"), at("at"));
        let (Some(message), Some(time)) = (message, time) else {
            return Err(self.wrong("the first row needs the columns message and at"));
        };
        for row in reader.records() {
            let row = row.map_err(|error| self.wrong(error))?;
            let cell = |at: usize| row.get(at).unwrap_or_default();
            let event = event.map_or("delivered", cell);
            self.add(json!({"message": cell(message), "event": event, "at": cell(time)}))?;
        }
        Ok(())
    }

    fn add(&mut self, event: Value) -> Result<(), Failure> {
        let values = event.as_object().into_iter().flatten();
        let mut texts = values.filter_map(|(_, value)| value.as_str());
        if texts.any(|text| text.len() > VALUE_BYTES_MAX) {
            let number = self.number(self.waiting.len());
            return Err(self.wrong(format!("event {number} has a value that is too long")));
        }
        self.waiting.push(event);
        if self.waiting.len() == EVENTS_MAX {
            self.send()?;
        }
        Ok(())
    }

    /// Number of a waiting event in the whole input, from 1.
    fn number(&self, index: usize) -> u64 {
        self.sent + u64::try_from(index).unwrap_or(u64::MAX) + 1
    }

    fn send(&mut self) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.waiting);
        let number = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let body = json!({"events": events});
        let request = Request::post(["deliveries"]).body(&body);
        let about = format!("{}: events after the first {}", self.file, self.sent);
        let sent = self.connection.call(&request.about(about));
        sent.map_err(|error| {
            error.and(format!(
                "{} were accepted before",
                count(self.sent, "event")
            ))
        })?;
        self.sent += number;
        Ok(())
    }

    fn finish(mut self) -> Result<u64, Failure> {
        if self.sent == 0 && self.waiting.is_empty() {
            return Err(self.wrong("no events there"));
        }
        if !self.waiting.is_empty() {
            self.send()?;
        }
        Ok(self.sent)
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Failure {
        let line = format!("{}: {what}", self.file);
        Failure::new(Failure::DATA, line)
    }
}
