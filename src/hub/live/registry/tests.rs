use super::*;

const DAY: Duration = limit::LIVE_TOPIC_TTL;

fn topic(name: &str) -> Topic {
    name.parse().unwrap()
}

fn at(seconds: u64) -> BootTime {
    BootTime(Duration::from_secs(seconds))
}

fn said(word: Word, generation: &str) -> Statement {
    Statement { word, generation: generation.parse().unwrap(), left: DAY }
}

/// What is known of the topic `a`.
fn known(registry: &Registry, now: BootTime) -> Option<(Word, String, Unheard)> {
    let (_, statement, unheard) = registry.statement(&topic("a"), now)?;
    Some((statement.word, statement.generation.to_string(), unheard))
}

#[test]
fn a_topic_is_forgotten_a_day_after_it_was_registered_last() {
    let mut registry = Registry::default();
    let (a, day) = (topic("a"), DAY.as_secs());
    registry.register(&a, Access::Open, DAY, at(100)).unwrap();
    assert_eq!(registry.access(&a, at(100 + day - 1)), Some(Access::Open));
    assert_eq!(registry.access(&a, at(100 + day)), None);
    registry.register(&a, Access::Token, DAY, at(100 + day - 1)).unwrap();
    assert_eq!(registry.access(&a, at(100 + day)), Some(Access::Token), "refreshed, as said last");
    let last = 100 + 2 * day - 1;
    assert_eq!((registry.topics(at(last - 1)).count(), registry.count(at(last - 1))), (1, 1));
    assert_eq!((registry.topics(at(last)).count(), registry.count(at(last))), (0, 0));
    assert!(registry.entries.is_empty() && registry.there.is_empty());
}

#[test]
fn what_is_unregistered_is_unknown_and_may_come_back() {
    let mut registry = Registry::default();
    let a = topic("a");
    registry.forget(&a);
    registry.register(&a, Access::Open, DAY, at(0)).unwrap();
    registry.forget(&a);
    assert_eq!((registry.access(&a, at(0)), registry.count(at(0))), (None, 0));
    registry.register(&a, Access::Token, DAY, at(0)).unwrap();
    assert_eq!(registry.access(&a, at(0)), Some(Access::Token));
}

#[test]
fn there_is_room_for_so_many_and_for_those_that_are_there() {
    let mut registry = Registry::default();
    for number in 0..limit::LIVE_TOPICS_MAX {
        registry.register(&topic(&number.to_string()), Access::Open, DAY, at(number as u64)).unwrap();
    }
    let more = topic("more");
    assert_eq!(registry.register(&more, Access::Open, DAY, at(10)), Err(Full));
    assert_eq!(registry.say_away(&more, Word::Open, DAY, at(10)), Err(Full));
    assert_eq!(registry.hear(&more, said(Word::Open, "1.0"), at(10)), Err(Full));
    registry.register(&topic("1"), Access::Open, DAY, at(20)).unwrap();
    let later = at(DAY.as_secs());
    registry.register(&more, Access::Open, DAY, later).unwrap();
    assert_eq!(registry.access(&topic("0"), later), None, "its time was over, so there was room");
}

#[test]
fn those_that_are_gone_take_no_room_and_are_as_many_at_most() {
    let mut registry = Registry::default();
    for number in 0..3 * limit::LIVE_GONE_MAX {
        let name = topic(&number.to_string());
        registry.hear(&name, said(Word::Open, "1.0"), at(number as u64)).unwrap();
        registry.say_away(&name, Word::Gone, limit::LIVE_GONE_TTL, at(number as u64)).unwrap();
    }
    assert_eq!((registry.count(at(100)), registry.gone.len()), (0, limit::LIVE_GONE_MAX));
    assert_eq!((registry.entries.len(), registry.owed.len()), (limit::LIVE_GONE_MAX, limit::LIVE_GONE_MAX));
    registry.sweep(at(200_000));
    assert!(registry.entries.is_empty() && registry.owed.is_empty());
}

#[test]
fn of_two_words_the_later_one_holds_in_whatever_order_they_are_heard() {
    let a = topic("a");
    let words = [
        said(Word::Open, "1.0"),
        said(Word::Token, "2.0"),
        said(Word::Open, "2.1"),
        said(Word::Gone, "2.1"),
        said(Word::Token, "2.1"),
        said(Word::Gone, "3.0"),
        said(Word::Open, "4.0"),
    ];
    for end in 1..=words.len() {
        for first in 0..end {
            let mut registry = Registry::default();
            for word in words[..end].iter().cycle().skip(first).take(end) {
                registry.hear(&a, *word, at(0)).unwrap();
            }
            let last = words[end - 1];
            assert_eq!(registry.access(&a, at(0)), last.word.access(), "{last:?} after {first}");
            assert_eq!(registry.hear(&a, last, at(0)), Ok(Heard::Known));
        }
    }
}

#[test]
fn what_was_said_away_from_redis_gives_way_to_what_redis_was_told_since() {
    let a = topic("a");
    let mut registry = Registry::default();
    registry.hear(&a, said(Word::Token, "6.0"), at(0)).unwrap();
    registry.say_away(&a, Word::Gone, limit::LIVE_GONE_TTL, at(1)).unwrap();
    registry.say_away(&a, Word::Open, DAY, at(2)).unwrap();
    assert_eq!(known(&registry, at(2)), Some((Word::Open, "6.2".to_owned(), Unheard::Forget)));
    assert_eq!(registry.owed(at(2)).len(), 1);
    assert_eq!(registry.hear(&a, said(Word::Token, "6.0"), at(2)), Ok(Heard::Known));
    assert_eq!(registry.hear(&a, said(Word::Token, "7.0"), at(2)), Ok(Heard::News));
    assert_eq!((registry.access(&a, at(2)), registry.owed(at(2)).len()), (Some(Access::Token), 0));
}

#[test]
fn that_a_topic_is_gone_is_known_as_long_as_others_may_think_it_is_there() {
    let a = topic("a");
    let mut registry = Registry::default();
    registry.hear(&a, said(Word::Open, "6.0"), at(0)).unwrap();
    registry.say_away(&a, Word::Gone, limit::LIVE_GONE_TTL, at(1)).unwrap();
    let last = DAY.as_secs() - 1;
    assert_eq!(known(&registry, at(last)), Some((Word::Gone, "6.1".to_owned(), Unheard::Forget)));
    assert_eq!(known(&registry, at(last + 1)), None);
}

#[test]
fn what_redis_has_nothing_about_is_told_where_it_is_news_there() {
    let a = topic("a");
    let mut registry = Registry::default();
    registry.say_away(&a, Word::Open, DAY, at(0)).unwrap();
    assert_eq!(
        known(&registry, at(0)),
        Some((Word::Open, "0.1".to_owned(), Unheard::Tell)),
        "nobody knew it"
    );
    let (_, told, _) = registry.statement(&a, at(0)).unwrap();
    registry.settle(&a, &told);
    assert_eq!(known(&registry, at(0)), Some((Word::Open, "0.1".to_owned(), Unheard::Forget)), "told");
    assert!(registry.owed(at(0)).is_empty());
    registry.say_away(&a, Word::Open, DAY, at(10)).unwrap();
    let day = DAY.as_secs();
    assert_eq!(known(&registry, at(day - 1)), Some((Word::Open, "0.2".to_owned(), Unheard::Forget)));
    let over = Some((Word::Open, "0.2".to_owned(), Unheard::Tell));
    assert_eq!(known(&registry, at(day)), over, "by then it would be over at Redis by itself");
    registry.settle(&a, &told);
    assert_eq!(registry.owed(at(day)).len(), 1, "another word was told");
    registry.forget_unheard(&a, &told);
    assert!(known(&registry, at(day)).is_some(), "nothing was asked about this one");
    let (_, told, _) = registry.statement(&a, at(day)).unwrap();
    registry.forget_unheard(&a, &told);
    assert_eq!(known(&registry, at(day)), None);
}
