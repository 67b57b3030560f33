//! The bookkeeping of one site: what `emit` called durable against what the hub shows.
//!
//! Every line emitted is unique, also when a chunk is emitted again after a kill, so two effects of one record and two
//! records of one text are told apart.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::id::{RecordId, StreamId};
use crate::wire::message::RecordKind;

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
    /// Not that of a program's record.
    kind: Option<String>,
    base64: Option<String>,
}

/// Who writes to a site's lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Writers {
    /// `emit` alone: a receipt has as many numbers as lines.
    #[default]
    EmitAlone,
    /// Jobs too, so that a receipt's numbers may include theirs.
    JobsToo,
}

/// One site's records by their text.
#[derive(Debug, Default)]
pub(super) struct Account {
    writers: Writers,
    durable: HashMap<String, Promise>,
    /// The last number given out of each stream.
    ends: HashMap<StreamId, u64>,
}

/// What `emit` promised of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Promise {
    /// The first record of its receipt.
    first: RecordId,
    /// Lines of the receipt before this one.
    position: u64,
    /// How many numbers of the receipt are others'.
    others: u64,
}

impl Promise {
    /// Whether the line may have this id: at its place in the receipt, behind no more than what others wrote.
    fn allows(&self, record: RecordId) -> bool {
        let least = self.first.seq.saturating_add(self.position);
        record.stream == self.first.stream
            && (least..=least.saturating_add(self.others)).contains(&record.seq)
    }
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
    pub(super) fn new(writers: Writers) -> Self {
        Self { writers, ..Self::default() }
    }

    /// Enters lines that `emit` called durable. Says what is wrong with a receipt that does not fit them.
    pub(super) fn enter(&mut self, receipt: &Receipt, lines: Vec<String>) -> Result<(), String> {
        let parse = |text: &str| text.parse::<RecordId>().map_err(|error| error.to_string());
        let (first, last) = (parse(&receipt.first)?, parse(&receipt.last)?);
        let count = lines.len() as u64;
        let end = first.seq.checked_add(count).and_then(|next| next.checked_sub(1));
        let others = end.and_then(|end| last.seq.checked_sub(end)).filter(|others| match self.writers {
            Writers::EmitAlone => *others == 0,
            Writers::JobsToo => true,
        });
        let fits = receipt.accepted == count && first.stream == last.stream;
        let Some(others) = others.filter(|_| fits) else {
            return Err(format!("{count} lines went in, the receipt says {receipt:?}"));
        };
        if self.ends.insert(first.stream, last.seq).is_some_and(|end| end >= first.seq) {
            return Err(format!("{first} was given out twice"));
        }
        for (position, line) in (0..).zip(lines) {
            if let Some(before) = self.durable.insert(line, Promise { first, position, others }) {
                return Err(format!("a line of the receipts from {first} and {} is the same", before.first));
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
        let mut positions: HashMap<RecordId, u64> = HashMap::new();
        for line in listed {
            let (Some(record), Some(text)) = (line.record(), line.text.as_deref()) else { continue };
            let seen = effects.entry(record).or_default();
            *seen += 1;
            let same_text = texts.entry(text).or_default();
            *same_text += 1;
            let first_sight = *seen == 1 && *same_text == 1;
            if !first_sight {
                verdict.duplicate_effects += 1;
            }
            let before = greatest.insert(record.stream, record.seq).unwrap_or(0);
            let mut in_order = record.seq > before;
            match self.durable.get(text) {
                Some(promise) if promise.allows(record) => {
                    verdict.arrived += u64::from(first_sight);
                    let before = positions.insert(promise.first, promise.position);
                    in_order &= before.is_none_or(|before| before < promise.position);
                }
                // It came under another record's number: what was promised is lost.
                Some(_) => {}
                None => verdict.unconfirmed += 1,
            }
            verdict.out_of_order += u64::from(!in_order && first_sight);
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

    /// The payload, where it is a record of this kind.
    pub(super) fn payload(&self, kind: RecordKind) -> Option<Result<Bytes, base64::DecodeError>> {
        let text = self.base64.as_deref().filter(|_| self.kind.as_deref() == kind.name())?;
        Some(STANDARD.decode(text).map(Bytes::from))
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
                kind: None,
                base64: None,
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
        let lines = || vec!["a".to_owned(), "b".to_owned()];
        let receipt = |accepted, first: u64, last: u64| Receipt {
            accepted,
            first: format!("logs/{EPOCH}/{first}"),
            last: format!("logs/{EPOCH}/{last}"),
        };
        assert!(account.enter(&receipt(2, 1, 3), lines()).is_err());
        assert!(account.enter(&receipt(1, 1, 2), lines()).is_err());
        account.enter(&receipt(2, 1, 2), lines()).unwrap();
        let others = vec!["c".to_owned()];
        assert!(account.enter(&receipt(1, 2, 2), others).unwrap_err().contains("twice"));
        let mut account = Account::new(Writers::JobsToo);
        assert!(account.enter(&receipt(2, 1, 1), lines()).is_err());
        account.enter(&receipt(2, 1, 3), lines()).unwrap();
    }

    #[test]
    fn records_of_jobs_may_stand_between_those_of_one_receipt() {
        let mut account = Account::new(Writers::JobsToo);
        let (first, last) = (format!("logs/{EPOCH}/1"), format!("logs/{EPOCH}/4"));
        let lines = ["a", "b", "c"].map(str::to_owned).to_vec();
        account.enter(&Receipt { accepted: 3, first, last }, lines).unwrap();
        let clean = Verdict { appended: 3, arrived: 3, ..Verdict::default() };
        assert_eq!(account.settle(&listed(&[(1, "a"), (2, "b"), (4, "c")])), clean);
        assert_eq!(account.settle(&listed(&[(2, "a"), (3, "b"), (4, "c")])), clean);
        assert_eq!(account.settle(&listed(&[(1, "a"), (2, "c"), (3, "b")])).lost, 1);
        assert_eq!(account.settle(&listed(&[(2, "b"), (2, "a"), (4, "c")])).duplicate_effects, 1);
        assert_eq!(account.settle(&listed(&[(1, "a"), (3, "c"), (3, "b")])).lost, 1);
        assert_eq!(account.settle(&listed(&[(1, "a"), (4, "c"), (3, "b")])).out_of_order, 1);
        assert_eq!(account.settle(&listed(&[(2, "b"), (2, "a"), (3, "b"), (4, "c")])).duplicate_effects, 2);
        assert_eq!(account.settle(&listed(&[(1, "b"), (2, "a"), (4, "c")])).lost, 1);
        assert_eq!(account.settle(&listed(&[(2, "b"), (3, "a"), (4, "c")])).lost, 1);
    }
}
