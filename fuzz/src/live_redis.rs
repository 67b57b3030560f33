//! What a Redis says, or whatever else answers at its address.

use outpost::hub::live::fuzzing;

/// The first byte is the size of the pieces that the rest comes in, too.
pub fn run(data: &[u8]) {
    let Some((size, rest)) = data.split_first() else { return };
    fuzzing::redis(rest, usize::from(*size));
}
