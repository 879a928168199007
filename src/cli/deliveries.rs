//! `cupel deliveries`: acceptances in, from JSON or CSV.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use csv::ByteRecord;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::Failure;
use super::ask::Ask;
use super::connection::{Connection, Request};
use super::files::Source;
use super::lines::{Lines, count};
use super::mint::{Known, Table};

/// Events of one call; the API takes no more, and no larger body.
const EVENTS_MAX: usize = 10_000;
/// Longest value of a member: no time or message is nearly so long.
const VALUE_BYTES_MAX: usize = 200;
const BOM: &[u8] = b"\xef\xbb\xbf";

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
    /// {"events": […]}. CSV, written in any way that mint reads: columns of these names among
    /// others, or cupel_message for message; event is "delivered" if left out.
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
        let Source { shown, file } = Source::open(file.as_deref(), &ask.reach, "events")?;
        let mut input = BufReader::new(file);
        let json = is_json(&mut input);
        let json = json.map_err(|error| Failure::no_input(Path::new(&shown), &error))?;
        let mut sender = Sender {
            connection: ask.reach.open()?,
            shown,
            place: if json { "event" } else { "line" },
            waiting: Vec::new(),
            places: Vec::new(),
            sent: 0,
        };
        let read = match json {
            true => sender.json(input),
            false => sender.csv(input),
        };
        let ended = read.and_then(|()| sender.finish());
        ended.map_err(|error| match sender.sent {
            0 => error,
            sent => error.and(format!("{} were accepted before", count(sent, "event"))),
        })?;
        let sent = sender.sent;
        let mut lines = Lines::new();
        if ask.json {
            lines.say(json!({"accepted": sent}));
        } else {
            lines.say(format_args!("accepted {}", count(sent, "event")));
        }
        lines.finish()
    }
}

/// Whether what comes begins as JSON does; then a mark before it is passed over.
fn is_json(input: &mut impl BufRead) -> std::io::Result<bool> {
    let begin = input.fill_buf()?;
    let text = begin.strip_prefix(BOM);
    let mark = text.map_or(0, |_| BOM.len());
    let mut text = text.unwrap_or(begin).iter();
    let first = text.find(|byte| !byte.is_ascii_whitespace());
    let json = matches!(first, Some(b'{' | b'['));
    input.consume(if json { mark } else { 0 });
    Ok(json)
}

/// Sends events in calls as large as the API takes.
struct Sender {
    connection: Connection,
    shown: String,
    /// What a place counts: events or lines of the input, from 1.
    place: &'static str,
    waiting: Vec<Value>,
    /// Where each of those stands.
    places: Vec<u64>,
    sent: u64,
}

impl Sender {
    fn json(&mut self, input: impl Read) -> Result<(), Failure> {
        let mut values = serde_json::Deserializer::from_reader(input);
        let mut failed = None;
        // Whatever is not the end is another value, or not JSON.
        while values.end().is_err() {
            let feed = Feed {
                sender: self,
                failed: &mut failed,
                within: false,
            };
            let read = feed.deserialize(&mut values);
            if let Some(failure) = failed {
                return Err(failure);
            }
            read.map_err(|error| self.wrong(error))?;
        }
        Ok(())
    }

    fn csv(&mut self, input: impl Read + 'static) -> Result<(), Failure> {
        let known = Known {
            header: Some(true),
            ..Known::default()
        };
        let (mut table, _) = Table::open(&self.shown, Box::new(input), known)?;
        let header = table.header.clone().unwrap_or_default();
        let plain = |head: &[u8]| String::from_utf8_lossy(head).trim().to_lowercase();
        let at = |name: &str| header.iter().position(|head| plain(head) == name);
        let message = at("message").or_else(|| at("cupel_message"));
        let (event, time) = (at("event"), at("at"));
        let (Some(message), Some(time)) = (message, time) else {
            return Err(self.wrong(
                "the first row needs the columns message (or cupel_message, as minted) and at",
            ));
        };
        let mut row = ByteRecord::new();
        while table.read(&mut row)? {
            let line = table.line(&row);
            if let Some(what) = table.misshapen(&row) {
                return Err(self.wrong(format_args!("line {line}: {what}")));
            }
            let cell = |at: usize| {
                let text = String::from_utf8_lossy(row.get(at).unwrap_or_default());
                text.trim().to_owned()
            };
            let event = event.map_or_else(|| "delivered".to_owned(), cell);
            let event = json!({"message": cell(message), "event": event, "at": cell(time)});
            self.add(event, line)?;
        }
        Ok(())
    }

    /// Takes an event that stands there.
    fn add(&mut self, event: Value, place: u64) -> Result<(), Failure> {
        let values = event.as_object().into_iter().flatten();
        let mut texts = values.filter_map(|(_, value)| value.as_str());
        if texts.any(|text| text.len() > VALUE_BYTES_MAX) {
            let what = format!("{} {place} has a value that is too long", self.place);
            return Err(self.wrong(what));
        }
        self.waiting.push(event);
        self.places.push(place);
        if self.waiting.len() == EVENTS_MAX {
            self.send()?;
        }
        Ok(())
    }

    /// The next event's number in the whole input, from 1.
    fn next_number(&self) -> u64 {
        self.sent + u64::try_from(self.waiting.len()).unwrap_or(u64::MAX) + 1
    }

    fn send(&mut self) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.waiting);
        let places = std::mem::take(&mut self.places);
        let number = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let body = json!({"events": events});
        let request = Request::post(["deliveries"]).body(&body);
        let sent = self.connection.call(&request);
        sent.map_err(|error| match self.placed(&error.line, &places) {
            Some(line) => Failure::new(error.code, line),
            None => error,
        })?;
        self.sent += number;
        Ok(())
    }

    /// A refusal with the place in the input instead of that in our own request, such as
    /// `/events/17/at: …`.
    fn placed(&self, line: &str, places: &[u64]) -> Option<String> {
        let (pointer, what) = line.strip_prefix("/events/")?.split_once(": ")?;
        let (index, member) = pointer.split_once('/').unwrap_or((pointer, ""));
        let at = places.get(index.parse::<usize>().ok()?)?;
        let member = match member {
            "" => String::new(),
            member => format!("{member}: "),
        };
        let (shown, place) = (&self.shown, self.place);
        Some(format!("{shown}: {place} {at}: {member}{what}"))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        match (self.waiting.is_empty(), self.sent) {
            (true, 0) => Err(self.wrong("no events there")),
            (true, _) => Ok(()),
            (false, _) => self.send(),
        }
    }

    fn wrong(&self, what: impl fmt::Display) -> Failure {
        let line = format!("{}: {what}", self.shown);
        Failure::new(Failure::DATA, line)
    }
}

/// Hands events over as they are read: an array is never held whole.
struct Feed<'a> {
    sender: &'a mut Sender,
    /// Why the sender took no more; the reader's own errors cannot say it.
    failed: &'a mut Option<Failure>,
    /// This is the value of a member `events`, which can only be an array.
    within: bool,
}

impl Feed<'_> {
    fn add<E: serde::de::Error>(&mut self, event: Value) -> Result<(), E> {
        let number = self.sender.next_number();
        self.sender.add(event, number).map_err(|failure| {
            let error = E::custom(&failure);
            *self.failed = Some(failure);
            error
        })
    }
}

impl<'de> DeserializeSeed<'de> for Feed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Feed<'_> {
    type Value = ();

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self.within {
            true => "an array of events",
            false => "objects with message, event and at",
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut events: A) -> Result<(), A::Error> {
        while let Some(event) = events.next_element()? {
            self.add(event)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        if self.within {
            return Err(A::Error::custom("events is no array"));
        }
        let mut event = Map::new();
        let mut several = false;
        while let Some(name) = members.next_key::<String>()? {
            if name == "events" {
                several = true;
                members.next_value_seed(Feed {
                    sender: self.sender,
                    failed: self.failed,
                    within: true,
                })?;
            } else {
                event.insert(name, members.next_value()?);
            }
        }
        match several {
            true => Ok(()),
            false => self.add(Value::Object(event)),
        }
    }
}
