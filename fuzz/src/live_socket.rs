//! What strangers and workers send to a live broker: a topic, a first frame, the body of a request, and what another node says
//! through Redis.

use outpost::hub::live::fuzzing;
use outpost::time::HubTime;

const NOW: HubTime = HubTime(1_800_000_000_000);

/// The first byte is the length of the topic, which follows; the rest is each of the others.
pub fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first() else { return };
    let (topic, rest) = rest.split_at((*length as usize).min(rest.len()));
    if let Ok(text) = std::str::from_utf8(rest) {
        fuzzing::topic(text);
        let topic = std::str::from_utf8(topic).ok().and_then(fuzzing::topic);
        if let Some(topic) = topic {
            fuzzing::first_frame(text, &topic, NOW);
        }
    }
    fuzzing::body(rest);
    fuzzing::message(rest);
    fuzzing::notice(rest);
}
