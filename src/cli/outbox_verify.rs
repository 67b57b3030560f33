//! `outbox verify`: every stored block is read again, through a running agent's socket, else in the folder of a stopped one.
//!
//! A stopped one is opened as for any other command, which begins new epochs; nothing that is found is changed.

use crate::agent::intake::client::{self, Request};
use crate::outbox::{Problem, Verified};

use super::exit::{CliError, Exit};
use super::folder::{self, Found, Place, not_understood};
use super::{Global, print_line};

/// Verifies the outbox.
///
/// # Errors
/// 1 where something is damaged, and where the outbox can be found or read no more.
pub(super) fn verify(place: &Place, global: &Global) -> Result<(), CliError> {
    let mut sum = Sum { json: global.json, ..Sum::default() };
    match folder::find(place, global)? {
        Found::Running(stream) => {
            let mut told = Ok(());
            client::ask(stream, &Request::OutboxVerify {}, |row| {
                let found = serde_json::from_slice(row).map_err(not_understood);
                if told.is_ok() {
                    told = found.and_then(|found| sum.add(&found));
                }
            })
            .map_err(|error| folder::client_error(&error))?;
            told?;
        }
        Found::Stopped(config) => folder::with_existing(&config, async |outbox| {
            let failed = |error| folder::store_error(&error);
            for part in outbox.verifiable().await.map_err(failed)? {
                sum.add(&outbox.verify(part).await.map_err(failed)?)?;
            }
            Ok(())
        })?,
    }
    sum.tell()
}

#[derive(Default)]
struct Sum {
    json: bool,
    parts: u64,
    blocks: u64,
    records: u64,
    problems: u64,
}

impl Sum {
    /// Prints what is wrong with a part.
    fn add(&mut self, found: &Verified) -> Result<(), CliError> {
        self.parts = self.parts.saturating_add(1);
        self.blocks = self.blocks.saturating_add(found.blocks);
        self.records = self.records.saturating_add(found.records);
        for wrong in &found.problems {
            self.problems = self.problems.saturating_add(1);
            let Problem { lane, epoch, from, to, problem } = wrong;
            if self.json {
                print_line(&serde_json::to_string(wrong).unwrap_or_default())?;
            } else if lane.is_empty() {
                print_line(&format!("{}: {problem}", found.part))?;
            } else {
                print_line(&format!("{lane}/{epoch}/{from}..{to}: {problem}"))?;
            }
        }
        Ok(())
    }

    fn tell(&self) -> Result<(), CliError> {
        let Self { parts, blocks, records, problems, .. } = self;
        let object =
            serde_json::json!({"parts": parts, "blocks": blocks, "records": records, "problems": problems});
        if self.json {
            print_line(&object.to_string())?;
        } else if *problems == 0 {
            print_line(&format!("{blocks} blocks with {records} records are sound"))?;
        }
        if *problems == 0 {
            return Ok(());
        }
        let message = format!(
            "{problems} places are damaged, {blocks} blocks with {records} records are sound; what is lost is told to the hub when the agent comes to it"
        );
        Err(CliError::new(Exit::Failed, message))
    }
}
