//! What touches the machine on everybody's behalf: clocks, randomness, the heap, file descriptors and logging. And the form
//! that figures are shown in.

pub mod clock;
#[cfg(feature = "hub")]
pub mod descriptors;
pub mod exposition;
pub mod folder;
#[cfg(feature = "agent")]
pub mod heap;
pub mod log;
pub mod machine;
pub mod random;
pub mod secret_file;
pub mod whole_file;
