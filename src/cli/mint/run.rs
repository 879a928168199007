//! One run over the input: rows read, minted for a few batches ahead, and written in their order.

use std::cell::RefCell;
use std::sync::Arc;

use csv::ByteRecord;
use indicatif::HumanCount;

use crate::app;
use crate::shutdown::Stop;
use crate::web;

use super::super::Failure;
use super::super::files::Replacement;
use super::input::{Input, Row};
use super::output::Output;
use super::progress::{Away, Progress, rows_out};
use super::tokens::Minter;
use super::written::Written;

/// Rows of one call, if the server takes so many of the campaign.
const BATCH_ROWS: usize = 2_000;
/// Calls on their way: one is being answered while another's rows are read or written.
const BATCHES: usize = 3;

/// Some rows with their recipients' ids.
#[derive(Default)]
struct Batch {
    rows: Vec<ByteRecord>,
    ids: Vec<String>,
    /// Bytes of the input up to here.
    taken: u64,
}

/// Rows of one call of a campaign whose messages have this many act tags.
fn rows_max(acts: usize) -> usize {
    BATCH_ROWS.min(web::recipients_max(acts))
}

/// One run over the input.
pub(super) struct Run {
    pub(super) input: Input,
    output: Output,
    apart: Option<Output>,
    pub(super) progress: Progress,
    stop: Stop,
    /// Rows that were out before.
    pub(super) skipped: u64,
    /// What ended the reading; told when all before it is out.
    failed: Option<Failure>,
}

impl Run {
    pub(super) fn new(
        input: Input,
        output: Output,
        apart: Option<Output>,
        progress: Progress,
        stop: Stop,
    ) -> Self {
        Self {
            input,
            output,
            apart,
            progress,
            stop,
            skipped: 0,
            failed: None,
        }
    }

    /// Goes on behind what is out already, to the end.
    pub(super) fn all(&mut self, minter: &Arc<Minter>, away: &Arc<Away>) -> Result<(), Failure> {
        self.go(minter, away)?;
        self.show()?;
        match self.stop.asked() {
            true => Err(Failure::new(Failure::INTERRUPTED, "interrupted")),
            false => Ok(()),
        }
    }

    /// Passes over what is out already. Only where that is what the input says do its bad rows take
    /// the place of those that were put apart before.
    pub(super) fn skip(
        &mut self,
        written: &Written,
        replacement: Option<Replacement>,
    ) -> Result<(), Failure> {
        let mut row = ByteRecord::new();
        let shown = self.input.table.shown.clone();
        let data = |what: &str| Failure::new(Failure::DATA, format!("{shown}: {what}"));
        for _ in 0..written.rows {
            if self.next(&mut row)?.is_none() {
                if self.stop.asked() {
                    let line = "interrupted; no row was written, and the same goes on";
                    return Err(Failure::new(Failure::INTERRUPTED, line));
                }
                let out = HumanCount(written.rows);
                let what = format!("ends before row {out}, but so many rows are out");
                return Err(data(&what));
            }
        }
        let same = written.last.iter().zip(&row).all(|(out, read)| out == read);
        if written.rows > 0 && !same {
            let out = HumanCount(written.rows);
            return Err(data(&format!("row {out} is not what the output has there")));
        }
        self.skipped = written.rows;
        replacement.map_or(Ok(()), Replacement::take_place)
    }

    /// The id of the next row that can be minted for; others are put apart, or end it. `None` at
    /// the end, or after a stop.
    fn next(&mut self, row: &mut ByteRecord) -> Result<Option<String>, Failure> {
        while !self.stop.asked() {
            match self.input.next(row)? {
                None => return Ok(None),
                Some(Row::Good(id)) => return Ok(Some(id)),
                Some(Row::Bad(why)) => {
                    let line = self.input.table.line(row);
                    let Some(apart) = &mut self.apart else {
                        let line = format!("{}: line {line}: {why}", self.input.table.shown);
                        let failure = Failure::new(Failure::DATA, line);
                        return Err(failure.and("mend it, or put it apart with --skip-bad FILE"));
                    };
                    self.progress.bad += 1;
                    row.push_field(format!("line {line}: {why}").as_bytes());
                    apart.row(row)?;
                }
            }
        }
        Ok(None)
    }

    fn batch(&mut self, rows_max: usize) -> Result<Option<Batch>, Failure> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut batch = Batch::default();
        while batch.rows.len() < rows_max {
            let mut row = ByteRecord::new();
            match self.next(&mut row) {
                Ok(Some(id)) => {
                    batch.ids.push(id);
                    batch.rows.push(row);
                }
                Ok(None) => break,
                Err(error) if batch.rows.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        batch.taken = self.input.table.taken();
        Ok(Some(batch).filter(|batch| !batch.rows.is_empty()))
    }

    fn go(&mut self, minter: &Arc<Minter>, away: &Arc<Away>) -> Result<(), Failure> {
        let stop = self.stop.clone();
        let calls = (Arc::clone(minter), Arc::clone(away), stop.clone());
        let rows_max = rows_max(minter.acts());
        let run = RefCell::new(self);
        app::in_order(
            BATCHES,
            &stop,
            || run.borrow_mut().batch(rows_max),
            move |batch: Batch| {
                let (minter, away, stop) = &calls;
                (minter.mint(&batch.ids, stop, away), batch)
            },
            |(values, batch)| run.borrow_mut().write(values?, batch),
        )
    }

    fn write(&mut self, values: Vec<Vec<String>>, batch: Batch) -> Result<(), Failure> {
        for (mut row, values) in batch.rows.into_iter().zip(values) {
            for value in values {
                row.push_field(value.as_bytes());
            }
            self.output.row(&row)?;
            self.progress.rows += 1;
        }
        self.progress.tell(batch.taken);
        self.show()
    }

    /// Hands over what was written.
    fn show(&mut self) -> Result<(), Failure> {
        self.output.show()?;
        self.apart.as_mut().map_or(Ok(()), Output::show)
    }

    /// How many rows are out after all, and how the rest gets there; nothing if none are.
    pub(super) fn how_to_go_on(&self, file: bool) -> Option<String> {
        let out = self.skipped + self.progress.rows;
        let known = match (file, self.output.broken) {
            _ if out == 0 => return None,
            (true, true) => "go on with --resume".to_owned(),
            (true, false) => format!("{}; go on with --resume", rows_out(out)),
            (false, true) => format!(
                "at most {}: count those that arrived, and go on with --skip-rows COUNT \
                 --no-header",
                rows_out(out)
            ),
            (false, false) => {
                let all = rows_out(out);
                format!("{all}; go on with --skip-rows {out} --no-header")
            }
        };
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_never_larger_than_the_server_takes() {
        for (acts, rows) in [(1, 2_000), (500, 2_000), (501, 1_996), (20_001, 49)] {
            assert_eq!(rows_max(acts), rows, "{acts}");
            assert!(rows <= web::recipients_max(acts), "{acts}");
        }
        assert_eq!(rows_max(usize::MAX), 1);
    }
}
