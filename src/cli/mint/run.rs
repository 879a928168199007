//! One run over the input: rows read, minted for a few batches ahead, and written in their order.

use std::cell::{Cell, RefCell};

use csv::ByteRecord;
use indicatif::HumanCount;

use crate::app;
use crate::shutdown::Stop;

use super::super::Failure;
use super::input::{Input, Row};
use super::output::{Output, Written};
use super::progress::Progress;
use super::tokens::Minter;

/// Rows of one call.
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

/// One run over the input.
pub(super) struct Run {
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) apart: Option<Output>,
    pub(super) progress: Progress,
    pub(super) stop: Stop,
    /// Rows that were out before.
    pub(super) skipped: u64,
    /// What ended the reading; told when all before it is out.
    pub(super) failed: Option<Failure>,
}

impl Run {
    /// Passes over what is out already.
    pub(super) fn skip(&mut self, written: &Written) -> Result<(), Failure> {
        let mut row = ByteRecord::new();
        for _ in 0..written.rows {
            if self.next(&mut row)?.is_none() {
                let (shown, rows) = (&self.input.shown, HumanCount(written.rows));
                let line = format!("{shown}: ends before row {rows}, but so many rows are out");
                return Err(Failure::new(Failure::DATA, line));
            }
        }
        let same = written.last.iter().zip(&row).all(|(out, read)| out == read);
        if written.rows > 0 && !same {
            let (shown, rows) = (&self.input.shown, HumanCount(written.rows));
            let line = format!("{shown}: row {rows} is not what the output has there");
            return Err(Failure::new(Failure::DATA, line));
        }
        Ok(())
    }

    /// The id of the next row that can be minted for; others are put apart, or end it.
    fn next(&mut self, row: &mut ByteRecord) -> Result<Option<String>, Failure> {
        loop {
            match self.input.next(row)? {
                None => return Ok(None),
                Some(Row::Good(id)) => return Ok(Some(id)),
                Some(Row::Bad(why)) => {
                    let line = self.input.line(row);
                    let Some(apart) = &mut self.apart else {
                        let line = format!("{}: line {line}: {why}", self.input.shown);
                        let failure = Failure::new(Failure::DATA, line);
                        return Err(failure.and("mend it, or put it apart with --skip-bad FILE"));
                    };
                    self.progress.bad += 1;
                    row.push_field(format!("line {line}: {why}").as_bytes());
                    apart.row(row)?;
                }
            }
        }
    }

    fn batch(&mut self) -> Result<Option<Batch>, Failure> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut batch = Batch::default();
        while batch.rows.len() < BATCH_ROWS && !self.stop.asked() {
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
        batch.taken = self.input.taken();
        Ok(Some(batch).filter(|batch| !batch.rows.is_empty()))
    }

    pub(super) fn go(&mut self, minter: &Minter<'_>) -> Result<(), Failure> {
        let run = RefCell::new(self);
        let heard = Cell::new(true);
        app::in_order(
            BATCHES,
            || match heard.get() {
                true => run.borrow_mut().batch(),
                false => Ok(None),
            },
            |batch| (minter.mint(&batch.ids), batch),
            |(values, batch)| {
                heard.set(run.borrow_mut().write(values?, batch)?);
                Ok(heard.get())
            },
        )
    }

    fn write(&mut self, values: Vec<Vec<String>>, batch: Batch) -> Result<bool, Failure> {
        for (mut row, values) in batch.rows.into_iter().zip(values) {
            for value in values {
                row.push_field(value.as_bytes());
            }
            self.output.row(&row)?;
            self.progress.rows += 1;
        }
        self.progress.tell(batch.taken);
        if let Some(apart) = &mut self.apart {
            apart.show()?;
        }
        self.output.show()
    }

    pub(super) fn interrupted(&mut self) -> Result<(), Failure> {
        if let Some(apart) = &mut self.apart {
            apart.show()?;
        }
        self.output.show()?;
        match self.stop.asked() {
            true => Err(Failure::new(Failure::INTERRUPTED, "interrupted")),
            false => Ok(()),
        }
    }
}
