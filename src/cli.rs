//! The command line: parse, call, exit code.

pub mod exit;
