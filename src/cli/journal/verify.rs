//! `cupel journal verify`.

use crate::clock::Clock;
use crate::journal::{Bodies, Other, Report, RingsReport, SegmentReport, Span};

use super::super::Failure;
use super::super::lines::{Lines, count};
use super::super::local::Local;
use super::{kinds, refused, survey};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    local: Local,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Failure> {
        let survey = survey(&self.local)?;
        let mut lines = Lines::new();
        let mut see = |segment: &SegmentReport| {
            if !self.json {
                print_segment(&mut lines, segment);
                lines.show();
            }
        };
        let report = survey.check(Clock.now(), &mut see).map_err(refused)?;
        if self.json {
            let mut json = serde_json::to_value(&report)
                .map_err(|error| Failure::new(Failure::SOFTWARE, error))?;
            if let Some(json) = json.as_object_mut() {
                json.insert("sound".to_owned(), report.is_sound().into());
            }
            lines.say(json);
        } else {
            print_rest(&mut lines, &report);
        }
        lines.finish()?;
        unsound(&report).map_or(Ok(()), |line| Err(Failure::new(Failure::DATA, line)))
    }
}

fn print_segment(lines: &mut Lines, segment: &SegmentReport) {
    lines.say(&segment.file);
    if let Some(edge) = &segment.other_edge {
        let bytes = count(segment.bytes, "byte");
        lines.say(format_args!(
            "  of another edge ({edge}), left alone; {bytes}"
        ));
        return;
    }
    let (first, last) = (segment.first, segment.last);
    let sequences = if last < first {
        format!("empty, begins with {first}")
    } else {
        format!("sequences {first} to {last}: {}", kinds(&segment.records))
    };
    lines.say(format_args!(
        "  {sequences}; {}",
        count(segment.bytes, "byte")
    ));
    if let (Some(oldest), Some(newest)) = (segment.oldest, segment.newest) {
        lines.say(format_args!("  from {oldest} to {newest}"));
    }
    for gap in &segment.skipped {
        let (from, to) = (gap.from, gap.to);
        lines.say(format_args!(
            "  never given: {from} to {to}, which the database knew"
        ));
    }
    for span in &segment.damaged {
        lines.say(format_args!("  damaged: {}", shown(span)));
    }
    print_bodies(lines, &segment.bodies);
    let Some(end) = &segment.torn_end else {
        return;
    };
    if segment.end_recovered {
        let why = "cut off by a crash, and kept in the rings";
        lines.say(format_args!("  end: {}; {why}", shown(end)));
    } else {
        lines.say(format_args!("  damaged end: {}", shown(end)));
    }
}

fn print_bodies(lines: &mut Lines, bodies: &Bodies) {
    if bodies.expired > 0 {
        let expired = count(bodies.expired, "delivery event");
        lines.say(format_args!("  bodies not kept any more: {expired}"));
    }
    for lost in &bodies.lost {
        let (file, bodies) = (&lost.file, lost.bodies);
        lines.say(format_args!(
            "  lost: {file}, {}",
            count(bodies, "delivery event")
        ));
    }
    for body in &bodies.damaged {
        let (file, offset) = (&body.file, body.offset);
        let (sequence, bytes) = (body.sequence, count(u64::from(body.bytes), "byte"));
        lines.say(format_args!(
            "  damaged body of {sequence}: {file}, {bytes} at offset {offset}"
        ));
    }
}

fn shown(span: &Span) -> String {
    let records = match span.records {
        Some(records) => format!(", {} lost", count(records, "record")),
        None => String::new(),
    };
    let bytes = count(span.bytes, "byte");
    format!("{bytes} at offset {}{records}", span.offset)
}

fn print_rest(lines: &mut Lines, report: &Report) {
    for gap in &report.gaps {
        lines.say(format_args!(
            "missing: sequences {} to {} are in no segment",
            gap.from, gap.to
        ));
    }
    match &report.rings {
        Some(rings) => print_rings(lines, rings),
        None => {
            lines.say("rings: none");
        }
    }
    let (files, bytes) = (report.spool.files, report.spool.bytes);
    let (files, bytes) = (count(files, "file"), count(bytes, "byte"));
    lines.say(format_args!("spool: {files}, {bytes}"));
    let others = |all: &[Other]| {
        let bytes = all.iter().map(|one| one.bytes).sum();
        format!(
            "{}, {}",
            count(all.len() as u64, "file"),
            count(bytes, "byte")
        )
    };
    if !report.superseded.is_empty() {
        let why = "empty, or written again after an fsync error";
        lines.say(format_args!(
            "superseded: {} ({why})",
            others(&report.superseded)
        ));
    }
    for (what, all) in [
        ("not named like a segment", &report.misnamed),
        ("set aside", &report.set_aside),
    ] {
        for one in all {
            lines.say(format_args!(
                "{what}: {}, {}",
                one.file,
                count(one.bytes, "byte")
            ));
        }
    }
    let records = report.records();
    lines.say(format_args!(
        "{}: {}, {} in the log ({}), {}",
        if report.is_sound() {
            "sound"
        } else {
            "DAMAGED"
        },
        count(report.segments.len() as u64, "segment"),
        count(records.total(), "record"),
        kinds(&records),
        count(report.bytes(), "byte"),
    ));
}

fn print_rings(lines: &mut Lines, rings: &RingsReport) {
    if let Some(life) = &rings.life {
        lines.say(format_args!(
            "rings: life {life}, {} of {} slots",
            count(u64::from(rings.workers), "worker"),
            rings.slots,
        ));
        let unlogged = kinds(&rings.unlogged);
        lines.say(format_args!("  not in the log yet: {unlogged}"));
    } else {
        lines.say("rings: unreadable");
    }
    for span in &rings.damaged {
        lines.say(format_args!("  damaged: {}", shown(span)));
    }
    for span in &rings.unfinished {
        let why = "a hit that was not answered";
        lines.say(format_args!("  unfinished: {}; {why}", shown(span)));
    }
}

/// What is wrong in one line, with the first place; `None` if nothing is.
fn unsound(report: &Report) -> Option<String> {
    let mut wrong = Vec::new();
    let (mut spans, mut bytes, mut records) = (0, 0, 0);
    for (_, span) in report.unsound() {
        spans += 1;
        bytes += span.bytes;
        records += span.records.unwrap_or(0);
    }
    if let Some((file, first)) = report.unsound().next() {
        let path = report.directory.join(file);
        let (path, at) = (path.display(), first.offset);
        let lost = match records {
            0 => String::new(),
            records => format!(", {} lost", count(records, "record")),
        };
        let (spans, bytes) = (count(spans, "damaged span"), count(bytes, "byte"));
        wrong.push(format!("{path} at offset {at}: {spans}, {bytes}{lost}"));
    }
    if !report.gaps.is_empty() {
        let missing = report.gaps.iter().map(|gap| gap.to - gap.from + 1).sum();
        let missing = count(missing, "sequence");
        wrong.push(format!("{missing} in no segment"));
    }
    let bodies = report.segments.iter().map(|segment| &segment.bodies);
    let lost = bodies.clone().flat_map(|bodies| &bodies.lost);
    let lost = lost.map(|file| file.bodies).sum();
    let damaged = bodies.map(|bodies| bodies.damaged.len() as u64).sum();
    for (what, bodies) in [("lost", lost), ("damaged", damaged)] {
        if bodies > 0 {
            let events = count(bodies, "delivery event");
            wrong.push(format!("{events} with a {what} body"));
        }
    }
    let line = wrong.join("; ");
    (!line.is_empty()).then_some(line)
}
