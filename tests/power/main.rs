//! Power cuts, damage, full disks and kills, against the outbox as the library offers it.
//!
//! # How a power cut is simulated
//!
//! The outbox lies on an ext4 file system, that on a loop device, and that on a file of a small FUSE file system in the
//! test's own process ([`fuse`]), which logs every write and every flush that the device is given ([`block_log`]). A child
//! process ([`workload`]) appends, reads and acks, and reports each append after it returned and each ack before it is
//! made. It is stopped after some report, and from the log the test builds disks as they may stand after a cut ([`image`]):
//!
//! * *copied*: all that the device was given up to the stop. What only the kernel's page cache knew is gone.
//! * *replayed*: all that came before a random flush, and a random part of what came between it and the next.
//!
//! Each disk is mounted (ext4 replays its journal) and another process opens the outbox on it, reads all of it and
//! appends again ([`examine`]). The next working process begins on such a disk, so later cuts meet what earlier ones left.
//!
//! # What is legal
//!
//! A disk may forget any part of what it was given after the last flush that it answered, and may have kept any part.
//! It may not forget what came before that flush. So for a cut at request `n` of the log: an append that returned before
//! the device took request `n` had its flush before, and must be there; an ack that was begun after it cannot have had
//! an effect. Reports and requests carry times of one clock, by which they compare ([`account`] is the oracle).
//!
//! These tests need root, loop devices and FUSE, and are ignored by a plain `cargo test`; `scripts/test` runs them where
//! they can run, and lists them as left out elsewhere. Those of kills and of damage need nothing and always run.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where its world does not hold")]

mod account;
mod backlog;
mod blob;
mod block_log;
mod child;
mod cut;
mod damage;
mod disk;
mod examine;
mod findings;
mod full;
mod fuse;
mod image;
mod inode;
mod kill;
mod lanes;
mod payload;
mod report;
mod seed;
mod unsynced;
mod ward;
mod workload;
