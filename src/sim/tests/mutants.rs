//! The test of the test: each deliberate fault is found within few seeds.

use crate::sim::mutant::{self, Mutant};
use crate::sim::run::run;
use crate::sim::scenario::Mode;

/// Seeds within which each is found.
const SEEDS_MAX: u64 = 1500;

/// The first seed that fails with the fault and not without it, in words.
fn found(mutant: Mutant, mode: Mode) -> String {
    for seed in 0..SEEDS_MAX {
        if let Err(failure) = mutant::with(mutant, || run(seed, mode))
            && run(seed, mode).is_ok()
        {
            return failure.lines().next().unwrap_or_default().to_owned();
        }
    }
    panic!("{mutant:?} is not found by {SEEDS_MAX} seeds");
}

macro_rules! mutants {
    ($($name:ident: $mutant:ident, $mode:ident;)*) => {
        $(
            #[test]
            fn $name() {
                let failure = found(Mutant::$mutant, Mode::$mode);
                println!("{:?} is found by {failure}", Mutant::$mutant);
            }
        )*
    };
}

mutants! {
    a_hub_that_acks_before_its_commit: AckBeforeCommit, Safety;
    a_hub_whose_marks_move_always: MarkMovesAlways, Safety;
    an_agent_that_deletes_before_the_ack: DeleteBeforeAck, Safety;
    an_epoch_that_is_used_again: EpochUsedAgain, Safety;
    an_append_answered_before_the_sync: AnswerBeforeSync, Safety;
    a_gap_that_is_not_kept: GapNotKept, Liveness;
    a_refusal_that_is_not_sealed_off: NoSeal, Safety;
    what_was_sent_is_not_sent_again: SentCountsAsAcked, Liveness;
    a_job_that_starts_before_the_journal_says_so: StartBeforeJournal, Safety;
    a_result_that_is_told_twice: ResultTwice, Safety;
    a_block_that_is_served_though_its_checksum_is_wrong: ChecksumIgnored, Safety;
    a_generation_whose_name_is_not_synced: NameNotSynced, Safety;
    a_message_that_is_said_to_be_kept_before_it_is: MessageSaidBeforeKept, Safety;
    a_message_that_is_forgotten_when_it_is_sent: MessageForgottenWhenSent, Liveness;
    messages_of_which_the_newest_goes_first: NewestMessageFirst, Safety;
    a_message_that_is_handled_again: MessageHandledAgain, Safety;
    a_hub_whose_time_is_not_asked_for: ConditionIgnored, Safety;
}
