//! A session that is open, whatever happens to it: records arrive once and in order, or it ends.

use arbitrary::Arbitrary;

use crate::pair::{Op, Pair, Setup};

/// How much there is, and what happens.
#[derive(Debug, Arbitrary)]
pub struct Input {
    streams: u8,
    records: u8,
    marks: Vec<u8>,
    ops: Vec<Op>,
}

/// A connection from its registration.
pub fn run(input: Input) {
    let Input { streams, records, marks, ops } = input;
    let mut pair = Pair::registered(Setup { streams, records, marks, ..Setup::default() });
    for op in ops {
        pair.step(op);
    }
    pair.finish();
}
