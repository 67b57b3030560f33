//! The bookkeeping of one site: what `emit` called durable against what the hub shows.
//!
//! Every line emitted is unique, also when a chunk is emitted again after a kill, so two effects of one record and two
//! records of one text are told apart.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::id::{RecordId, StreamId};

/// What `outpost emit --json` prints.
#[derive(Debug, Deserialize)]
pub(super) struct Receipt {
    pub(super) accepted: u64,
    pub(super) first: String,
    pub(super) last: String,
}

/// A line of `outpost records list --json`; lines about gaps have no `seq`.
#[derive(Debug, Deserialize)]
pub(super) struct Listed {
    lane: String,
    epoch: String,
    seq: Option<u64>,
    text: Option<String>,
}

/// One site's records by id.
#[derive(Debug, Default)]
pub(super) struct Account {
    durable: BTreeMap<RecordId, String>,
}

/// What one site's comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    pub(super) appended: u64,
    pub(super) arrived: u64,
    pub(super) lost: u64,
    pub(super) duplicate_effects: u64,
    pub(super) out_of_order: u64,
    /// Arrived although `emit` never got to say that they were durable: a kill came between.
    pub(super) unconfirmed: u64,
}

impl Verdict {
    pub(super) fn add(&mut self, other: Self) {
        self.appended += other.appended;
        self.arrived += other.arrived;
        self.lost += other.lost;
        self.duplicate_effects += other.duplicate_effects;
        self.out_of_order += other.out_of_order;
        self.unconfirmed += other.unconfirmed;
    }
}

impl Account {
    /// Enters lines that `emit` called durable. Says what is wrong with a receipt that does not fit them.
    pub(super) fn enter(&mut self, receipt: &Receipt, lines: Vec<String>) -> Result<(), String> {
        let parse = |text: &str| text.parse::<RecordId>().map_err(|error| error.to_string());
        let (first, last) = (parse(&receipt.first)?, parse(&receipt.last)?);
        let count = lines.len() as u64;
        let end = first.seq.checked_add(count).and_then(|next| next.checked_sub(1));
        if receipt.accepted != count || first.stream != last.stream || end != Some(last.seq) {
            return Err(format!("{count} lines went in, the receipt says {receipt:?}"));
        }
        for (seq, line) in (first.seq..).zip(lines) {
            let record = RecordId { stream: first.stream, seq };
            if self.durable.insert(record, line).is_some() {
                return Err(format!("{record} was given out twice"));
            }
        }
        Ok(())
    }

    /// How many records were called durable.
    pub(super) fn durable(&self) -> u64 {
        self.durable.len() as u64
    }

    /// Compares with the hub's listing, in the order the hub gave it.
    pub(super) fn settle(&self, listed: &[Listed]) -> Verdict {
        let mut verdict = Verdict { appended: self.durable(), ..Verdict::default() };
        let mut effects: HashMap<RecordId, u64> = HashMap::new();
        let mut texts: HashMap<&str, u64> = HashMap::new();
        let mut greatest: HashMap<StreamId, u64> = HashMap::new();
        for line in listed {
            let (Some(record), Some(text)) = (line.record(), line.text.as_deref()) else { continue };
            let seen = effects.entry(record).or_default();
            *seen += 1;
            let same_text = texts.entry(text).or_default();
            *same_text += 1;
            if *seen > 1 || *same_text > 1 {
                verdict.duplicate_effects += 1;
            }
            let before = greatest.insert(record.stream, record.seq).unwrap_or(0);
            if record.seq <= before && *seen == 1 {
                verdict.out_of_order += 1;
            }
            match self.durable.get(&record) {
                Some(line) if line == text => verdict.arrived += u64::from(*seen == 1),
                // The number came with another record's bytes: what was promised is lost.
                Some(_) => {}
                None => verdict.unconfirmed += 1,
            }
        }
        verdict.lost = verdict.appended.saturating_sub(verdict.arrived);
        verdict
    }
}

impl Listed {
    fn record(&self) -> Option<RecordId> {
        Some(RecordId {
            stream: StreamId { lane: self.lane.parse().ok()?, epoch: self.epoch.parse().ok()? },
            seq: self.seq?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: &str = "0000000100000007";

    fn account(lines: &[&str]) -> Account {
        let mut account = Account::default();
        let receipt = Receipt {
            accepted: lines.len() as u64,
            first: format!("logs/{EPOCH}/1"),
            last: format!("logs/{EPOCH}/{}", lines.len()),
        };
        account.enter(&receipt, lines.iter().map(|line| (*line).to_owned()).collect()).unwrap();
        account
    }

    fn listed(records: &[(u64, &str)]) -> Vec<Listed> {
        records
            .iter()
            .map(|(seq, text)| Listed {
                lane: "logs".to_owned(),
                epoch: EPOCH.to_owned(),
                seq: Some(*seq),
                text: Some((*text).to_owned()),
            })
            .collect()
    }

    #[test]
    fn everything_once_and_in_order_is_clean() {
        let verdict = account(&["a", "b"]).settle(&listed(&[(1, "a"), (2, "b"), (3, "c")]));
        assert_eq!(verdict, Verdict { appended: 2, arrived: 2, unconfirmed: 1, ..Verdict::default() });
    }

    #[test]
    fn a_missing_or_changed_record_is_lost() {
        let account = account(&["a", "b"]);
        assert_eq!(account.settle(&listed(&[(1, "a")])).lost, 1);
        assert_eq!(account.settle(&listed(&[(1, "a"), (2, "x")])).lost, 1);
    }

    #[test]
    fn a_record_or_its_bytes_twice_is_a_duplicate_effect() {
        let account = account(&["a", "b"]);
        assert_eq!(account.settle(&listed(&[(1, "a"), (2, "b"), (2, "b")])).duplicate_effects, 1);
        assert_eq!(account.settle(&listed(&[(1, "a"), (2, "b"), (3, "b")])).duplicate_effects, 1);
    }

    #[test]
    fn a_number_that_goes_back_is_out_of_order() {
        let verdict = account(&["a", "b"]).settle(&listed(&[(2, "b"), (1, "a")]));
        assert_eq!(verdict.out_of_order, 1);
    }

    #[test]
    fn a_receipt_that_does_not_fit_is_refused() {
        let mut account = Account::default();
        let receipt =
            Receipt { accepted: 2, first: format!("logs/{EPOCH}/1"), last: format!("logs/{EPOCH}/3") };
        assert!(account.enter(&receipt, vec!["a".to_owned(), "b".to_owned()]).is_err());
    }
}
