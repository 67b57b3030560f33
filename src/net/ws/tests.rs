//! Two links joined by a pipe.

use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::net::meter::Metered;
use crate::obs::clock::boot_now;

async fn pair(
    buffer: usize,
) -> (Link<Metered<tokio::io::DuplexStream>>, Link<Metered<tokio::io::DuplexStream>>) {
    let (left, right) = tokio::io::duplex(buffer);
    let side = async |stream, role| {
        let config = config(limit::SOCKET_READ_BUFFER_IDLE);
        let (stream, meter) = {
            let stream = Metered::new(stream);
            let meter = stream.meter();
            (stream, meter)
        };
        Link::new(WebSocketStream::from_raw_socket(stream, role, Some(config)).await, meter)
    };
    (side(left, Role::Client).await, side(right, Role::Server).await)
}

#[tokio::test]
async fn frames_arrive_in_order_after_one_rest() {
    let (mut left, mut right) = pair(1 << 20).await;
    for number in 0..100_u8 {
        assert!(matches!(left.turn(Want::Send).await, Turn::Writable));
        left.feed(Bytes::from(vec![number; 3])).unwrap();
    }
    for number in 0..100_u8 {
        let turn = tokio::select! {
            turn = right.turn(Want::Rest) => turn,
            turn = left.turn(Want::Rest) => panic!("nothing was sent back: {turn:?}"),
        };
        let Turn::Incoming(Incoming::Frame(frame)) = turn else { panic!("a frame: {turn:?}") };
        assert_eq!(frame, vec![number; 3]);
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_runs_into_the_deadline_and_reading_goes_on() {
    let (mut left, mut right) = pair(1024).await;
    let timeout = Duration::from_secs(10);
    assert_eq!(left.write_deadline(boot_now(), timeout), None, "nothing waits");
    assert!(matches!(left.turn(Want::Send).await, Turn::Writable));
    left.feed(Bytes::from(vec![1; 100_000])).unwrap();
    assert!(matches!(right.turn(Want::Send).await, Turn::Writable));
    right.feed(Bytes::from_static(b"ack")).unwrap();
    // One poll of the peer flushes its frame but reads ours only in part: drop it before it goes on.
    let flushed = tokio::time::timeout(Duration::ZERO, right.turn(Want::Rest)).await;
    assert!(flushed.is_err(), "{flushed:?}");
    let turn = left.turn(Want::Send).await;
    assert!(matches!(turn, Turn::Incoming(Incoming::Frame(_))), "{turn:?}");
    let blocked = tokio::time::timeout(Duration::ZERO, left.turn(Want::Send)).await;
    assert!(blocked.is_err(), "the write is blocked: {blocked:?}");
    let (now, later) = (boot_now().after(Duration::from_secs(1)), boot_now().after(Duration::from_secs(5)));
    assert_eq!(left.write_deadline(now, timeout), Some(now.after(timeout)));
    assert_eq!(left.write_deadline(later, timeout), Some(now.after(timeout)), "no byte moved since");
}

#[tokio::test]
async fn a_peer_that_reads_a_little_has_its_time_anew() {
    let (mut left, mut right) = pair(1024).await;
    let timeout = Duration::from_secs(10);
    let began = boot_now();
    assert!(matches!(left.turn(Want::Send).await, Turn::Writable));
    left.feed(Bytes::from(vec![1; 100_000])).unwrap();
    let blocked = tokio::time::timeout(Duration::ZERO, left.turn(Want::Send)).await;
    assert!(blocked.is_err(), "the write is blocked: {blocked:?}");
    let first = left.write_deadline(began, timeout).unwrap();
    while boot_now().after(timeout) <= first.after(Duration::from_millis(2)) {
        tokio::task::yield_now().await;
    }
    let read = tokio::time::timeout(Duration::ZERO, right.turn(Want::Rest)).await;
    assert!(read.is_err(), "a part of a frame: {read:?}");
    let blocked = tokio::time::timeout(Duration::ZERO, left.turn(Want::Send)).await;
    assert!(blocked.is_err(), "the write is blocked again: {blocked:?}");
    assert!(left.write_deadline(boot_now(), timeout).unwrap() > first);
}

#[tokio::test]
async fn a_message_above_the_limit_is_told_apart() {
    let (mut left, mut right) = pair(8 << 20).await;
    assert!(matches!(left.turn(Want::Send).await, Turn::Writable));
    left.feed(Bytes::from(vec![0; limit::MESSAGE_BYTES_MAX + 1])).unwrap();
    let turn = tokio::select! {
        turn = right.turn(Want::Rest) => turn,
        turn = left.turn(Want::Rest) => panic!("nothing was sent back: {turn:?}"),
    };
    assert!(matches!(turn, Turn::Incoming(Incoming::TooLarge)), "{turn:?}");
}

#[tokio::test]
async fn a_close_says_its_code_and_reason() {
    let (left, mut right) = pair(1 << 16).await;
    let reason = "é".repeat(100);
    let (turn, ()) = tokio::join!(
        async {
            let turn = right.turn(Want::Rest).await;
            drop(right);
            turn
        },
        left.close(1008, &reason)
    );
    let Turn::Incoming(Incoming::Closed { code, reason }) = turn else { panic!("{turn:?}") };
    assert_eq!((code, reason), (1008, "é".repeat(61)));
}
