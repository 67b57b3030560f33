//! Which topics are registered, who may read them, and until when. Pure: `now` is an argument.
//!
//! Where there are other nodes, a topic's last word has a generation, and what was said last of one that is gone is kept for a
//! while: of two words the later one holds, whatever the order they are heard in.

mod generation;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use crate::limit;
use crate::time::BootTime;

use super::topic::Topic;
pub(super) use generation::Generation;

/// Who may subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Who has a token for the topic.
    Token,
    /// Anybody.
    Open,
}

/// What was said of a topic last. Of two that nodes away from Redis said beside each other the greater one holds: nobody is let
/// in who should not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    /// It is registered, for anybody.
    Open,
    /// It is not registered any more.
    Gone,
    /// It is registered, for those with a token.
    Token,
}

impl Word {
    /// `None` of one that is gone.
    pub(super) const fn access(self) -> Option<Access> {
        match self {
            Self::Open => Some(Access::Open),
            Self::Gone => None,
            Self::Token => Some(Access::Token),
        }
    }
}

impl From<Access> for Word {
    fn from(access: Access) -> Self {
        match access {
            Access::Token => Self::Token,
            Access::Open => Self::Open,
        }
    }
}

/// A word, when it was said, and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) word: Word,
    pub(super) generation: Generation,
    pub(super) left: Duration,
}

/// What becomes of a statement that Redis has nothing about, though it has lost nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unheard {
    /// Redis is told.
    Tell,
    /// Its time was over there, or another node unregistered the topic: so it is here.
    Forget,
}

/// No room for another topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {limit} topics, no more can be registered", limit = limit::LIVE_TOPICS_MAX)]
pub(super) struct Full;

#[derive(Debug, Clone, Copy)]
struct Entry {
    word: Word,
    generation: Generation,
    until: BootTime,
    /// Where it was said away from Redis: until when what was known before it holds.
    ground: Option<BootTime>,
}

/// The registered topics.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: HashMap<Topic, Entry>,
    /// The registered ones by their end, so that they can be counted at any time.
    there: BTreeSet<(BootTime, Topic)>,
    /// Those that are gone, likewise.
    gone: BTreeSet<(BootTime, Topic)>,
    /// Those that Redis has to be told of.
    owed: HashSet<Topic>,
}

impl Registry {
    /// Registers, or registers anew, where there are no other nodes: the time begins again.
    pub(super) fn register(
        &mut self,
        topic: &Topic,
        access: Access,
        ttl: Duration,
        now: BootTime,
    ) -> Result<(), Full> {
        self.check_room(topic, now)?;
        let (word, generation, until) = (access.into(), Generation::default(), now.after(ttl));
        self.put(topic, Entry { word, generation, until, ground: None });
        Ok(())
    }

    /// Forgets a topic, if there is one.
    pub(super) fn forget(&mut self, topic: &Topic) {
        if let Some(entry) = self.entries.remove(topic) {
            let place = (entry.until, topic.clone());
            self.there.remove(&place);
            self.gone.remove(&place);
            self.owed.remove(topic);
        }
    }

    /// The word of a worker that Redis is to be told of later.
    pub(super) fn say_away(
        &mut self,
        topic: &Topic,
        word: Word,
        ttl: Duration,
        now: BootTime,
    ) -> Result<(), Full> {
        if word != Word::Gone {
            self.check_room(topic, now)?;
        }
        let known = self.entry(topic, now).copied();
        let ground = match known {
            Some(entry) if self.owed.contains(topic) => entry.ground.unwrap_or(now),
            Some(entry) if entry.word != Word::Gone => entry.until,
            Some(_) | None => now,
        };
        let generation = known.map(|entry| entry.generation).unwrap_or_default().next_away();
        // That it is gone is known for as long as others may think that it is not.
        let until = if word == Word::Gone { now.after(ttl).max(ground) } else { now.after(ttl) };
        self.put(topic, Entry { word, generation, until, ground: Some(ground) });
        self.owed.insert(topic.clone());
        Ok(())
    }

    /// Takes a word of another node, or of Redis, where it is later than what is known. Whether it is.
    pub(super) fn hear(&mut self, topic: &Topic, statement: Statement, now: BootTime) -> Result<Heard, Full> {
        let Statement { word, generation, left } = statement;
        if self.entry(topic, now).is_some_and(|known| (known.generation, known.word) >= (generation, word)) {
            return Ok(Heard::Known);
        }
        if word != Word::Gone {
            self.check_room(topic, now)?;
        }
        self.put(topic, Entry { word, generation, until: now.after(left), ground: None });
        Ok(Heard::News)
    }

    /// Redis has been told this.
    pub(super) fn settle(&mut self, topic: &Topic, told: &Statement) {
        if let Some(entry) = self.entries.get_mut(topic)
            && (entry.word, entry.generation) == (told.word, told.generation)
        {
            entry.ground = None;
            self.owed.remove(topic);
        }
    }

    /// Redis has nothing about this.
    pub(super) fn forget_unheard(&mut self, topic: &Topic, told: &Statement) {
        let is_told = |entry: &Entry| (entry.word, entry.generation) == (told.word, told.generation);
        if self.entries.get(topic).is_some_and(is_told) {
            self.forget(topic);
        }
    }

    /// Everything that is known now, in no order.
    pub(super) fn statements(&self, now: BootTime) -> Vec<(Topic, Statement, Unheard)> {
        self.entries.keys().filter_map(|topic| self.statement(topic, now)).collect()
    }

    /// Of those that Redis has to be told of.
    pub(super) fn owed(&self, now: BootTime) -> Vec<(Topic, Statement, Unheard)> {
        self.owed.iter().filter_map(|topic| self.statement(topic, now)).collect()
    }

    fn statement(&self, topic: &Topic, now: BootTime) -> Option<(Topic, Statement, Unheard)> {
        let entry = self.entry(topic, now)?;
        // What was said when nothing was known, or nothing that holds any more, is news.
        let unheard = match entry.ground {
            Some(ground) if entry.word != Word::Gone && ground <= now => Unheard::Tell,
            Some(_) | None => Unheard::Forget,
        };
        let Entry { word, generation, until, .. } = *entry;
        Some((topic.clone(), Statement { word, generation, left: until.since(now) }, unheard))
    }

    /// Who may read a topic; `None` where it is not registered, or not any more.
    pub(super) fn access(&self, topic: &Topic, now: BootTime) -> Option<Access> {
        self.entry(topic, now)?.word.access()
    }

    /// Forgets those whose time is over.
    pub(super) fn sweep(&mut self, now: BootTime) {
        while let Some(topic) = ended(&self.there, now).or_else(|| ended(&self.gone, now)) {
            self.forget(&topic);
        }
    }

    /// How many are registered now.
    pub(super) fn count(&mut self, now: BootTime) -> usize {
        self.sweep(now);
        self.there.len()
    }

    /// All that are registered now, in no order.
    pub(super) fn topics(&self, now: BootTime) -> impl Iterator<Item = &Topic> {
        self.there.iter().filter(move |(until, _)| now < *until).map(|(_, topic)| topic)
    }

    /// Whether there is room for this one: there is for one that is registered.
    pub(super) fn check_room(&mut self, topic: &Topic, now: BootTime) -> Result<(), Full> {
        if self.access(topic, now).is_none() && self.count(now) >= limit::LIVE_TOPICS_MAX {
            return Err(Full);
        }
        Ok(())
    }

    fn entry(&self, topic: &Topic, now: BootTime) -> Option<&Entry> {
        self.entries.get(topic).filter(|entry| now < entry.until)
    }

    fn put(&mut self, topic: &Topic, entry: Entry) {
        self.forget(topic);
        let place = (entry.until, topic.clone());
        self.entries.insert(topic.clone(), entry);
        if entry.word == Word::Gone {
            self.gone.insert(place);
        } else {
            self.there.insert(place);
        }
        // Those that are gone give way, the one that ends first before others.
        if self.gone.len() > limit::LIVE_GONE_MAX
            && let Some((_, topic)) = self.gone.first().cloned()
        {
            self.forget(&topic);
        }
    }
}

/// Whether a word was later than what was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    News,
    Known,
}

/// One whose time is over.
fn ended(by_end: &BTreeSet<(BootTime, Topic)>, now: BootTime) -> Option<Topic> {
    by_end.first().filter(|(until, _)| *until <= now).map(|(_, topic)| topic.clone())
}

#[cfg(test)]
mod tests;
