//! Deliberate faults, each of which the simulation must find. The code they stand in asks here whether one is wanted;
//! only tests can want one, each thread for itself, and only in a test build is there anything to ask.

use std::cell::Cell;

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// The hub acks what it has not committed.
    AckBeforeCommit,
    /// The hub moves a mark whatever it was.
    MarkMovesAlways,
    /// The agent deletes what it has sent.
    DeleteBeforeAck,
    /// An opening goes on in the epoch of the one before.
    EpochUsedAgain,
    /// An append is answered before its data is on the medium.
    AnswerBeforeSync,
    /// A gap is sent and not kept.
    GapNotKept,
    /// What a failed write refused is not sealed off.
    NoSeal,
    /// What an ended session had sent is not sent again by the next.
    SentCountsAsAcked,
    /// A job starts before the journal says so.
    StartBeforeJournal,
    /// A result is told again at the next start.
    ResultTwice,
    /// A block is served although its checksum is wrong.
    ChecksumIgnored,
    /// A new generation's name is not synced.
    NameNotSynced,
    /// A sender hears that its message is kept before it is.
    MessageSaidBeforeKept,
    /// The hub forgets what it keeps once that is sent.
    MessageForgottenWhenSent,
    /// What waits longest is sent last.
    NewestMessageFirst,
    /// A message that comes again is handled again.
    MessageHandledAgain,
    /// A hub whose certificate is believed on condition may say any time.
    ConditionIgnored,
}

thread_local! {
    static WANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this thread wants the fault.
pub(crate) fn active(mutant: Mutant) -> bool {
    WANTED.get() == Some(mutant)
}

/// Runs with the fault.
pub(crate) fn with<T>(mutant: Mutant, run: impl FnOnce() -> T) -> T {
    let before = WANTED.replace(Some(mutant));
    let result = run();
    WANTED.set(before);
    result
}
