//! `cupel rewrite`: a template in, tracked links out.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Failure;
use super::ask::Ask;
use super::connection::Request;
use super::files::{Source, is_stream, is_there, named, write_whole};
use super::lines::{Lines, count, tell};

/// Largest template; the API takes no larger body.
const TEMPLATE_BYTES_MAX: u64 = 32 << 20;

/// Put tracked links and an open pixel into a template; every other byte stays
///
/// Destinations are registered in the campaign as content, unless they are registered as something
/// else already: register links that act first. The template goes to standard output, what was
/// done with its links to standard error.
///
/// Example: cupel rewrite --campaign 7 may.html > may.tracked.html
#[derive(Debug, clap::Args)]
pub(super) struct Rewrite {
    #[command(flatten)]
    ask: Ask,
    /// The template, in UTF-8; standard input if - or left out
    file: Option<PathBuf>,
    /// Number of the campaign
    #[arg(long, value_name = "N")]
    campaign: u32,
    /// It is plain text, not HTML
    #[arg(long)]
    text: bool,
    /// Merge tag of the message's token [default: {{cupel_token}}]
    #[arg(long, value_name = "TAG")]
    token_tag: Option<String>,
    /// Merge tag of an act; N becomes the link's number [default: {{cupel_act_N}}]
    #[arg(long, value_name = "TAG")]
    act_tag: Option<String>,
    /// Add no open pixel
    #[arg(long)]
    no_pixel: bool,
    /// A new file for the template, written whole or not at all; standard output if - or left out
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace what --out names
    #[arg(long, requires = "out")]
    force: bool,
}

impl Rewrite {
    pub(super) fn run(self) -> Result<(), Failure> {
        let out = named(self.out.as_deref());
        if let Some(out) = out {
            self.refuse_existing(out)?;
        }
        let template = self.template()?;
        let part = if self.text { "text" } else { "html" };
        let mut body = json!({part: template, "pixel": !self.no_pixel});
        if let Some(body) = body.as_object_mut() {
            let tags = [("token_tag", &self.token_tag), ("act_tag", &self.act_tag)];
            for (name, tag) in tags {
                let given = tag.as_ref().map(|tag| (name.to_owned(), json!(tag)));
                body.extend(given);
            }
        }
        let path = ["campaigns", &self.campaign.to_string(), "rewrite"];
        let about = format!("campaign {}", self.campaign);
        let request = Request::post(path).body(&body).about(about);
        let request = request.naming(&[("/html", "the template"), ("/text", "the template")]);
        let answer = self.ask.reach.open()?.call(&request)?;
        let rewritten = answer.get(part).and_then(Value::as_str);
        let rewritten = rewritten.ok_or_else(|| {
            Failure::new(
                Failure::PROTOCOL,
                "the server sent no template back".to_owned(),
            )
        })?;
        let mut lines = Lines::new();
        if let Some(out) = out {
            write_whole(out, rewritten.as_bytes(), self.force)?;
        }
        if self.ask.json {
            lines.say(&answer);
        } else {
            if out.is_none() {
                lines.put(rewritten.as_bytes());
            }
            report(&answer);
        }
        lines.finish()
    }

    /// Before anything is registered for a template that could not be written.
    fn refuse_existing(&self, out: &Path) -> Result<(), Failure> {
        if self.force || is_stream(out) || !out.exists() {
            return Ok(());
        }
        Err(is_there(out))
    }

    fn template(&self) -> Result<String, Failure> {
        let source = Source::open(self.file.as_deref(), &self.ask.reach, "template")?;
        let Source { shown, file } = source;
        let mut bytes = Vec::new();
        let read = file.take(TEMPLATE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(|error| Failure::no_input(Path::new(&shown), &error))?;
        let data = |what: String| Failure::new(Failure::DATA, format!("{shown}: {what}"));
        if u64::try_from(bytes.len()).is_ok_and(|bytes| bytes > TEMPLATE_BYTES_MAX) {
            return Err(data(format!("larger than {TEMPLATE_BYTES_MAX} bytes")));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            data(format!(
                "not UTF-8 at byte {at}; convert it first, such as with iconv -t UTF-8"
            ))
        })
    }
}

/// Says on standard error what became of the links.
fn report(answer: &Value) {
    let rows = |name: &str| answer.get(name).and_then(Value::as_array);
    let text = |of: &Value, name: &str| {
        let value = of.get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let links = rows("links").into_iter().flatten();
    for link in links.clone() {
        let number = link.get("number").and_then(Value::as_u64);
        let (number, kind) = (number.unwrap_or_default(), text(link, "kind"));
        tell(format_args!("link {number}  {kind}  {}", text(link, "url")));
    }
    for one in rows("left_alone").into_iter().flatten() {
        let (reason, value) = (text(one, "reason"), text(one, "value"));
        tell(format_args!("left alone ({reason})  {value}"));
    }
    let number = u64::try_from(links.count()).unwrap_or(u64::MAX);
    let columns = rows("columns").into_iter().flatten();
    let columns: Vec<_> = columns.filter_map(Value::as_str).collect();
    let links = count(number, "link");
    tell(format_args!(
        "{links}; merge columns: {}",
        columns.join(", ")
    ));
}
