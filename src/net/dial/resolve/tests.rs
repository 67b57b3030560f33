use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;

fn four(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn six(last: u16) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
}

/// A resolver that answers each lookup once it is told to, and counts them.
fn slow() -> (Resolver, std::sync::mpsc::SyncSender<IpAddr>, Arc<AtomicUsize>) {
    let (tell, told) = sync_channel(64);
    let told: Mutex<Receiver<IpAddr>> = Mutex::new(told);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let resolver = Resolver::new(move |_name| {
        counted.fetch_add(1, Ordering::SeqCst);
        told.lock().unwrap().recv().map(|address| vec![address]).map_err(io::Error::other)
    });
    (resolver, tell, count)
}

/// How many threads there were, once all of them have ended: each holds the resolver.
fn threads(resolver: &Resolver, count: &AtomicUsize) -> usize {
    while Arc::strong_count(&resolver.inner) > 1 {
        std::thread::yield_now();
    }
    count.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_name_is_asked_for_anew_each_time() {
    let count = AtomicUsize::new(0);
    let resolver = Resolver::new(move |_name| {
        let asked = count.fetch_add(1, Ordering::SeqCst);
        Ok(vec![four(u8::try_from(asked).unwrap())])
    });
    for expected in 0..3 {
        assert_eq!(resolver.resolve("hub.example").await, Ok(vec![four(expected)]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_never_answers_is_given_up_in_time_and_asked_once() {
    let (resolver, tell, count) = slow();
    for _dial in 0..20 {
        let begun = tokio::time::Instant::now();
        assert_eq!(resolver.resolve("hub.example").await, Err(LookupError::Silent));
        assert_eq!(begun.elapsed(), limit::LOOKUP_TIMEOUT);
    }
    drop(tell);
    assert_eq!(threads(&resolver, &count), 1, "one thread for one name");
}

#[tokio::test]
async fn who_asks_while_a_lookup_is_under_way_gets_its_answer() {
    let (resolver, tell, count) = slow();
    let answered = async { tell.send(four(9)).unwrap() };
    let (first, second, ()) =
        tokio::join!(resolver.resolve("hub.example"), resolver.resolve("hub.example"), answered);
    assert_eq!((first, second), (Ok(vec![four(9)]), Ok(vec![four(9)])));
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn lookups_that_hang_are_bounded() {
    let (resolver, tell, count) = slow();
    for number in 0..limit::LOOKUPS_MAX {
        assert_eq!(resolver.resolve(&format!("hub{number}.example")).await, Err(LookupError::Silent));
    }
    assert_eq!(resolver.resolve("one-more.example").await, Err(LookupError::Busy));
    drop(tell);
    assert_eq!(threads(&resolver, &count), limit::LOOKUPS_MAX);
}

#[tokio::test]
async fn of_a_thousand_addresses_a_few_are_kept_and_both_families_have_their_turn() {
    let resolver = Resolver::new(|_name| {
        let fours = (0..1000_u32).map(|number| Ipv4Addr::from_bits(0x0A00_0000 + number).into());
        Ok(fours.chain([six(1), six(1), six(2)]).collect())
    });
    let found = resolver.resolve("many.example").await.unwrap();
    assert_eq!(found.len(), limit::ADDRESSES_TRIED_MAX);
    let start: Vec<IpAddr> = ["2001:db8::1", "10.0.0.0", "2001:db8::2", "10.0.0.1", "10.0.0.2"]
        .map(|text| text.parse().unwrap())
        .into();
    assert!(found.starts_with(&start), "{found:?}");
}

#[tokio::test]
async fn a_name_without_an_address_and_a_failure_say_so() {
    let empty = Resolver::new(|_name| Ok(Vec::new()));
    assert_eq!(empty.resolve("hub.example").await, Err(LookupError::Empty));
    let failing = Resolver::new(|_name| Err(io::Error::other("no such name")));
    let error = failing.resolve("hub.example").await.unwrap_err();
    assert_eq!(error, LookupError::Failed("no such name".to_owned()));
    assert_eq!(failing.inner.under_way().len(), 0, "nothing stays behind");
}

#[tokio::test]
async fn addresses_and_this_machine_are_not_asked_for() {
    let resolver = Resolver::new(|_name| Err(io::Error::other("asked")));
    assert_eq!(resolver.resolve("192.0.2.7").await, Ok(vec![four(7)]));
    assert_eq!(resolver.resolve("2001:db8::7").await, Ok(vec![six(7)]));
    let here = resolver.resolve("LocalHost").await.unwrap();
    assert!(here.len() == 2 && here.iter().all(|address| SocketAddr::new(*address, 1).ip().is_loopback()));
}
