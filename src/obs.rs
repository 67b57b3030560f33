//! What touches the machine on everybody's behalf: clocks, randomness and logging.

pub mod clock;
pub mod folder;
pub mod log;
pub mod random;
