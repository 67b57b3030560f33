use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::limit;
use crate::wire::browser_token::UserId;

use super::*;

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn join(audience: &Arc<Audience>, name: &str) -> Subscription {
    audience.join(&topic(name), Reader::Anonymous, Proof::None, Form::Plain).unwrap()
}

fn push(audience: &Audience, name: &str, text: &str) -> Delivered {
    let payload = RawValue::from_string(format!("\"{text}\"")).unwrap();
    audience.push(&topic(name), Push::new(&payload))
}

/// What was pushed, by its text.
fn received(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| taken(subscription)).collect()
}

fn taken(subscription: &mut Subscription) -> Option<String> {
    let parcel = subscription.messages.take_now()?;
    Some(pushed(str::from_utf8(parcel.bytes()).unwrap()))
}

fn pushed(frame: &str) -> String {
    let text = frame.strip_prefix(r#"{"type":"push","payload":""#).and_then(|text| text.strip_suffix("\"}"));
    text.unwrap_or(frame).to_owned()
}

#[test]
fn a_message_reaches_all_of_its_topic_and_nobody_else() {
    let audience = Arc::new(Audience::default());
    let (mut one, mut two, mut other) = (join(&audience, "a"), join(&audience, "a"), join(&audience, "b"));
    let delivered = push(&audience, "a", "x");
    assert_eq!(delivered, Delivered { queued: 2, dropped: 0 });
    assert_eq!((received(&mut one), received(&mut two)), (vec!["x".to_owned()], vec!["x".to_owned()]));
    assert!(received(&mut other).is_empty());
    assert_eq!(push(&audience, "c", "x"), Delivered::default());
}

#[test]
fn who_left_gets_nothing_and_takes_no_room() {
    let audience = Arc::new(Audience::default());
    let (one, two) = (join(&audience, "a"), join(&audience, "a"));
    drop(one);
    assert_eq!(push(&audience, "a", "x").queued, 1);
    drop(two);
    assert!(audience.topics().is_empty() && lock(&audience.rooms).is_empty());
    assert_eq!(audience.count(), Count { readers: 0, sockets: 0 });
}

#[test]
fn users_count_once_and_the_anonymous_each() {
    let audience = Arc::new(Audience::default());
    let joined: Vec<_> = ["7", "7", "007", "8", "ann", "ann", "0", "-3", "", ""]
        .into_iter()
        .map(|user_id| UserId::Text(user_id.to_owned()))
        .chain([UserId::Number(7), UserId::Number(-7)])
        .map(|user_id| audience.join(&topic("a"), Reader::of(&user_id), Proof::Token, Form::Plain).unwrap())
        .collect();
    assert_eq!(audience.count(), Count { readers: 3 + 5, sockets: 12 });
    drop(joined);
    assert_eq!(audience.count(), Count { readers: 0, sockets: 0 });
}

#[test]
fn who_showed_no_token_has_to_go_when_the_topic_wants_one() {
    let audience = Arc::new(Audience::default());
    let (guest, elsewhere) = (join(&audience, "a"), join(&audience, "b"));
    let known =
        audience.join(&topic("a"), Reader::of(&UserId::Number(7)), Proof::Token, Form::Plain).unwrap();
    audience.expel_unproven(&topic("a"));
    let gone = [&guest, &elsewhere, &known].map(|one| one.unwelcome.is_cancelled());
    assert_eq!(gone, [true, false, false]);
}

#[test]
fn who_asks_for_numbers_sees_what_is_missing_and_is_told_of_a_gap() {
    let audience = Arc::new(Audience::default());
    let mut numbered = audience.join(&topic("a"), Reader::Anonymous, Proof::None, Form::Numbered).unwrap();
    let mut plain = join(&audience, "a");
    let number =
        |text: &str| text.strip_prefix(r#"{"type":"push","offset":"#)?.split(',').next()?.parse::<u64>().ok();
    for _ in 0..limit::LIVE_BUFFER + 3 {
        push(&audience, "a", "x");
    }
    let numbers: Vec<_> = received(&mut numbered).iter().filter_map(|text| number(text)).collect();
    assert_eq!(numbers, (1..=limit::LIVE_BUFFER as u64).collect::<Vec<_>>());
    received(&mut plain);
    audience.note_gap();
    push(&audience, "a", "y");
    let texts = received(&mut numbered);
    assert_eq!(texts[0], GAP);
    assert_eq!(
        number(&texts[1]),
        Some(limit::LIVE_BUFFER as u64 + 5),
        "three were dropped, one stands for the gap"
    );
    assert!(texts[1].ends_with(r#","payload":"y"}"#), "{}", texts[1]);
    assert_eq!(received(&mut plain), ["y"]);
}

#[test]
fn a_message_for_which_there_is_no_memory_is_dropped_and_counted() {
    let audience = Arc::new(Audience::default());
    let (stuck, mut quick) = (join(&audience, "a"), join(&audience, "b"));
    let long = "x".repeat(limit::LIVE_WAITING_BYTES_MAX / 64);
    let taken: u64 = (0..20).map(|_| push(&audience, "a", &long).queued).sum();
    assert!((1..20).contains(&taken), "{taken}");
    assert_eq!((audience.dropped(), stuck.dropped.load(Ordering::Relaxed)), (20 - taken, 20 - taken));
    for _ in 0..20 {
        assert_eq!(push(&audience, "b", &long).queued, 1);
        assert_eq!(received(&mut quick), [long.as_str()]);
    }
    assert_eq!(push(&audience, "b", &"x".repeat(limit::LIVE_WAITING_BYTES_MAX)).dropped, 1);
}

proptest! {
    /// Reads of the slow one are given by `reads`: before message n it takes reads[n] messages.
    #[test]
    fn a_slow_subscriber_loses_the_newest_and_nobody_else_loses(
        reads in prop::collection::vec(0_usize..2, 1..200),
    ) {
        let audience = Arc::new(Audience::default());
        let (mut slow, mut quick) = (join(&audience, "a"), join(&audience, "a"));
        let (mut waiting, mut read_slowly, mut dropped) = (Vec::new(), Vec::new(), 0);
        let (mut expected, mut quickly) = (Vec::new(), Vec::new());
        for (number, read) in reads.iter().enumerate() {
            for _ in 0..*read {
                read_slowly.extend(taken(&mut slow));
                if !waiting.is_empty() {
                    expected.push(waiting.remove(0));
                }
            }
            let fits = waiting.len() < limit::LIVE_BUFFER;
            let delivered = push(&audience, "a", &number.to_string());
            prop_assert_eq!(delivered, Delivered { queued: 1 + u64::from(fits), dropped: u64::from(!fits) });
            if fits {
                waiting.push(number.to_string());
            }
            dropped += u64::from(!fits);
            quickly.extend(received(&mut quick));
        }
        read_slowly.extend(received(&mut slow));
        expected.extend(waiting);
        prop_assert_eq!(read_slowly, expected);
        prop_assert_eq!(audience.dropped(), dropped);
        let all: Vec<_> = (0..reads.len()).map(|number| number.to_string()).collect();
        prop_assert_eq!(quickly, all);
    }
}
