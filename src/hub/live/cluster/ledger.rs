//! What Redis keeps of topics, so that all nodes come to know the same: of two words about a topic the later one holds,
//! whoever says it, and whenever it is heard.
//!
//! ```text
//! CHANNEL:topic:NAME = word " " generation          word = "open" | "token" | "none"; lives as long as the word holds
//! CHANNEL:ledger     = a hash: id, made anew where Redis has lost something; generation, the number given last
//! ```
//! A script does each step, and tells all nodes, before Redis does anything else: nodes hear words in the order of their
//! generations. Where Redis went back to an older state, it gets an id anew by the first node that knows a later generation.

use std::time::Duration;

use crate::hub::live::registry::{Statement, Unheard, Word};
use crate::hub::live::topic::Topic;
use crate::time::millis;

use super::message::{self, News, Notice, ttl};
use super::resp::Reply;
use super::{Cluster, connection::Connection};

/// KEYS: ledger. ARGV: the id that it gets if it needs one, the last generation that the node has heard of. Gives its id.
const OPEN: &str = "
local id = redis.call('HGET', KEYS[1], 'id')
local last = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0')
if not id or last < tonumber(ARGV[2]) then
  id = ARGV[1]
  redis.call('HSET', KEYS[1], 'id', id)
  redis.call('HSET', KEYS[1], 'generation', ARGV[2])
end
return id";

/// KEYS: ledger, topic. ARGV: the last generation that the node has heard of, channel of notices, word, milliseconds, notice.
/// Gives the generation.
const SAY: &str = "
local last = tonumber(redis.call('HGET', KEYS[1], 'generation') or '0')
local number = string.format('%.0f', math.max(last, tonumber(ARGV[1])) + 1)
local generation = number .. '.0'
redis.call('HSET', KEYS[1], 'generation', number)
redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. generation, 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[2], ARGV[5] .. generation .. '\"}')
return generation";

/// KEYS: topics. ARGV: channel of notices, then for each topic word, the two numbers of its generation, milliseconds, what becomes
/// of it where there is no key, notice. Gives for each topic what it has now, and for how many milliseconds.
const MERGE: &str = "
local rank = {open = 1, none = 2, token = 3}
local function holds(value, word, ordered, away)
  local word_there, ordered_there, away_there = string.match(value, '^(%l+) (%d+)%.(%d+)$')
  if not rank[word_there] then return false end
  ordered_there, away_there = tonumber(ordered_there), tonumber(away_there)
  if ordered_there ~= ordered then return ordered_there > ordered end
  if away_there ~= away then return away_there > away end
  return rank[word_there] >= rank[word]
end
local answers = {}
for i = 1, #KEYS do
  local at = (i - 1) * 6 + 2
  local word, ordered, away = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local value = redis.call('GET', KEYS[i])
  local write = ARGV[at + 4] == 'tell'
  if value then write = not holds(value, word, tonumber(ordered), tonumber(away)) end
  if write then
    local generation = ordered .. '.' .. away
    value = word .. ' ' .. generation
    redis.call('SET', KEYS[i], value, 'PX', ARGV[at + 3])
    redis.call('PUBLISH', ARGV[1], ARGV[at + 5] .. generation .. '\"}')
  end
  answers[#answers + 1] = value or ''
  answers[#answers + 1] = redis.call('PTTL', KEYS[i])
end
return answers";

/// Whether Redis has lost what this node knew of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    Whole,
    Lost,
}

/// Asks for the ledger's id; its answer is one.
pub(super) fn feed_open(commands: &mut Connection, cluster: &Cluster, fresh: &str) {
    let (key, seen) = (cluster.ledger(), cluster.seen().to_string());
    commands.feed(&[b"EVAL", OPEN.as_bytes(), b"1", key.as_bytes(), fresh.as_bytes(), seen.as_bytes()]);
}

/// Puts a worker's word after all that was said before; its answer is a generation.
pub(super) fn feed_word(
    commands: &mut Connection,
    cluster: &Cluster,
    topic: &Topic,
    word: Word,
    ttl: Duration,
) {
    let (ledger, key, notices) = (cluster.ledger(), cluster.key(topic), cluster.notices());
    let (seen, left, notice) = (cluster.seen().to_string(), pexpiry(ttl), notice(cluster, topic, word, ttl));
    commands.feed(&[
        b"EVAL",
        SAY.as_bytes(),
        b"2",
        ledger.as_bytes(),
        key.as_bytes(),
        seen.as_bytes(),
        notices.as_bytes(),
        message::name_of(word).as_bytes(),
        left.as_bytes(),
        &notice,
    ]);
}

/// Tells Redis what it does not know, and asks for what is later there; one answer for all.
pub(super) fn feed_merge(
    commands: &mut Connection,
    cluster: &Cluster,
    memory: Memory,
    statements: &[(Topic, Statement, Unheard)],
) {
    let mut keys = Vec::with_capacity(statements.len());
    let mut arguments = vec![cluster.notices().into_bytes()];
    for (topic, statement, unheard) in statements {
        let Statement { word, generation, left } = *statement;
        let generation = generation.to_string();
        let (ordered, away) = generation.split_once('.').unwrap_or_default();
        let unheard: &[u8] = match (memory, unheard) {
            (Memory::Lost, _) | (_, Unheard::Tell) => b"tell",
            (Memory::Whole, Unheard::Forget) => b"leave",
        };
        keys.push(cluster.key(topic).into_bytes());
        arguments.extend([
            message::name_of(word).into(),
            ordered.into(),
            away.into(),
            pexpiry(left).into_bytes(),
            unheard.to_vec(),
            notice(cluster, topic, word, left),
        ]);
    }
    let count = keys.len().to_string();
    let head: [&[u8]; 3] = [b"EVAL", MERGE.as_bytes(), count.as_bytes()];
    let all: Vec<&[u8]> = head.into_iter().chain(keys.iter().chain(&arguments).map(Vec::as_slice)).collect();
    commands.feed(&all);
}

/// What Redis has of a topic: the key's value and the milliseconds it lives. `None` where it has nothing, or what no node wrote.
pub(super) fn statement_of(value: &Reply, left_ms: &Reply) -> Option<Statement> {
    let (Reply::Bytes(value), Reply::Number(left_ms)) = (value, left_ms) else { return None };
    let (word, generation) = str::from_utf8(value).ok()?.split_once(' ')?;
    let left = ttl(u64::try_from(*left_ms).ok()?);
    Some(Statement { word: message::word_of(word)?, generation: generation.parse().ok()?, left })
}

/// All but the generation and what closes it: Redis adds those.
fn notice(cluster: &Cluster, topic: &Topic, word: Word, left: Duration) -> Vec<u8> {
    let news = News::Word {
        topic: topic.as_str().to_owned(),
        word: message::name_of(word).to_owned(),
        ttl_ms: millis(left),
        generation: String::new(),
    };
    let mut text = Notice { origin_id: cluster.origin.clone(), news }.to_bytes();
    text.truncate(text.len().saturating_sub("\"}".len()));
    text
}

/// As `SET` takes it: no key lives for no time.
fn pexpiry(ttl: Duration) -> String {
    millis(ttl).max(1).to_string()
}
