//! From the Challenge to the RegisterAck, whatever happens on the way: nobody is let in who may not be.

use arbitrary::Arbitrary;

use crate::pair::{Op, Pair, Setup};

/// Who meets, and what happens.
#[derive(Debug, Arbitrary)]
pub struct Input {
    setup: Setup,
    ops: Vec<Op>,
}

/// A connection from its first byte.
pub fn run(input: Input) {
    let mut pair = Pair::new(input.setup);
    for op in input.ops {
        pair.step(op);
    }
    pair.finish();
}
