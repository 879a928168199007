//! How far minting is: a bar on a terminal, a word while the server is away, a line at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::super::lines::tell;

/// Rows, time, and a bar if somebody sees it.
pub(super) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    /// Rows that this run wrote.
    pub(super) rows: u64,
    /// Rows that were put apart.
    pub(super) bad: u64,
}

impl Progress {
    /// Of an input of so many bytes, where that is known. Nothing is drawn but on a terminal, and
    /// only if it is `seen`.
    pub(super) fn new(size: Option<u64>, seen: bool) -> Self {
        let bar = match size {
            Some(size) => ProgressBar::new(size),
            None => ProgressBar::no_length(),
        };
        let form = match size {
            Some(_) => "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left",
            None => "{spinner} {bytes}  {msg}",
        };
        if !seen {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        Self {
            bar,
            begun: Instant::now(),
            rows: 0,
            bad: 0,
        }
    }

    /// So much of the input is read.
    pub(super) fn tell(&self, bytes: u64) {
        self.bar.set_position(bytes);
        if !self.bar.is_hidden() {
            let rate = HumanCount(self.rate(self.begun.elapsed()));
            let rows = rows(self.rows);
            self.bar.set_message(format!("{rows}, {rate} rows/s"));
        }
    }

    /// Rows a second, over the whole time.
    fn rate(&self, took: Duration) -> u64 {
        let millis = took.as_millis().max(1);
        u64::try_from(u128::from(self.rows) * 1_000 / millis).unwrap_or(u64::MAX)
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// What was done, for people.
    pub(super) fn line(&self) -> String {
        let took = self.begun.elapsed();
        let bad = match self.bad {
            0 => String::new(),
            bad => format!(", put {} apart", HumanCount(bad)),
        };
        format!(
            "minted {} in {:.1} s, {} rows/s{bad}",
            rows(self.rows),
            took.as_secs_f64(),
            HumanCount(self.rate(took))
        )
    }

    /// The same for programs.
    pub(super) fn json(&self, skipped: u64, columns: &[String], dialect: &str) -> Value {
        let took = self.begun.elapsed();
        json!({
            "rows": self.rows,
            "skipped": skipped,
            "bad": self.bad,
            "seconds": took.as_secs_f64(),
            "rows_per_second": self.rate(took),
            "columns": columns,
            "dialect": dialect,
        })
    }
}

/// A number of rows that are out: `1 row is out`, `2,000 rows are out`.
pub(super) fn rows_out(number: u64) -> String {
    let verb = if number == 1 { "is" } else { "are" };
    format!("{} {verb} out", rows(number))
}

/// A number of rows: `1 row`, `2,000 rows`.
pub(super) fn rows(number: u64) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} row{plural}", HumanCount(number))
}

/// Says that the server is away: once, until it has answered again.
pub(super) struct Away {
    bar: ProgressBar,
    quiet: bool,
    said: AtomicBool,
}

impl Away {
    /// Beside the bar of this progress.
    pub(super) fn beside(progress: &Progress, quiet: bool) -> Self {
        Self {
            bar: progress.bar.clone(),
            quiet,
            said: AtomicBool::new(false),
        }
    }

    /// It did not answer, and will be asked again for so long.
    pub(super) fn tell(&self, why: &impl std::fmt::Display, again: Duration) {
        if !self.quiet && !self.said.swap(true, Ordering::Relaxed) {
            let seconds = again.as_secs();
            let line = format!("the server is away ({why}); trying again for {seconds} s");
            self.bar.suspend(|| tell(line));
        }
    }

    /// It has answered.
    pub(super) fn over(&self) {
        self.said.store(false, Ordering::Relaxed);
    }
}
