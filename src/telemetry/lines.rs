//! How an event becomes one line: nothing that a stranger wrote can begin another, colour a
//! terminal or turn its text around.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::{self, FormatEvent, FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether a character must not reach a terminal or log reader as it is: control characters, and
/// those that break lines or change the direction of text.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        )
        || matches!(c, '\u{2066}'..='\u{2069}')
}

/// Fields of a text line: `name=value`, the message without its name.
pub(super) fn text_fields() -> impl for<'w> FormatFields<'w> + 'static {
    let write = |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        if field.name() != "message" {
            write!(writer, "{}=", field.name())?;
        }
        for c in format!("{value:?}").chars() {
            if is_hostile(c) {
                write!(writer, "{}", c.escape_default())?;
            } else {
                writer.write_char(c)?;
            }
        }
        Ok(())
    };
    format::debug_fn(write).delimited(" ")
}

/// One flat JSON object an event: time, level, message, its fields, and those of its spans.
pub(super) struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut object = Object::default();
        object.put("timestamp", &time.into());
        object.put("level", &event.metadata().level().as_str().into());
        event.record(&mut object);
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            object.splice(fields.map_or("", |fields| fields.fields.as_str()));
        }
        writeln!(writer, "{{{}}}", object.members)
    }
}

/// The members of a JSON object, in the order in which they came.
#[derive(Default)]
struct Object {
    members: String,
}

impl Object {
    fn put(&mut self, name: &str, value: &serde_json::Value) {
        let name = serde_json::Value::from(name.trim_start_matches("r#"));
        self.member(&format!("{name}:{value}"));
    }

    /// Members of an object that was written before.
    fn splice(&mut self, object: &str) {
        let members = object.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            self.member(members);
        }
    }

    fn member(&mut self, text: &str) {
        if !self.members.is_empty() {
            self.members.push(',');
        }
        // Outside strings JSON has none of these.
        for c in text.chars() {
            if is_hostile(c) {
                self.members.push_str(&format!("\\u{:04x}", u32::from(c)));
            } else {
                self.members.push(c);
            }
        }
    }
}

impl Visit for Object {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), &format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), &value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use crate::telemetry::{LogFormat, subscriber};

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    const HOSTILE: &str =
        "a\nb\r\n2026-01-01T00:00:00Z ERROR forged\u{1b}[31m\u{9b}m\u{202e}\u{61c}\0\"";

    fn lines(format: LogFormat) -> String {
        let kept = Kept::default();
        let subscriber = subscriber(format, "info", kept.clone(), false);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::error_span!("request", request_id = "r-1", route = HOSTILE);
            let _entered = span.enter();
            tracing::info!(text = HOSTILE, shown = %HOSTILE, count = 7, "web: {HOSTILE}");
            tracing::debug!("not asked for");
        });
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn an_event_is_one_line_whatever_its_fields_hold() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = lines(format);
            let (line, rest) = lines.split_once('\n').unwrap();
            assert_eq!(rest, "", "{lines}");
            let hostile = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{61c}');
            assert!(!line.contains(hostile), "{line:?}");
            assert!(line.contains("INFO") && line.contains("r-1"), "{line}");
        }
        let line = lines(LogFormat::Text);
        assert!(
            line.contains("request_id=\"r-1\"") && line.contains("count=7"),
            "{line}"
        );
    }

    #[test]
    fn json_is_flat_and_its_values_are_what_was_said() {
        let line: serde_json::Value = serde_json::from_str(&lines(LogFormat::Json)).unwrap();
        assert_eq!(line["text"], HOSTILE);
        assert_eq!(line["shown"], HOSTILE);
        assert_eq!(line["message"], format!("web: {HOSTILE}"));
        assert_eq!(
            (&line["count"], &line["request_id"]),
            (&7.into(), &"r-1".into())
        );
        let time = line["timestamp"].as_str().unwrap();
        assert!(
            time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'),
            "{time}"
        );
    }
}
