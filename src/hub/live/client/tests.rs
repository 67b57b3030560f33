use std::time::Duration;

use futures_util::SinkExt as _;
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;

use crate::hub::config::LiveConfig;
use crate::hub::live::entrance::Entrance;
use crate::hub::live::first_frame::AUTH_OK;
use crate::hub::live::upgrade;
use crate::secret::Secret;
use crate::time::BootTime;

use super::*;

type Page = WebSocketStream<DuplexStream>;

struct Scene {
    broker: Arc<Broker>,
    entrance: Arc<Entrance>,
    stop: CancellationToken,
}

impl Scene {
    /// A broker with the open topic `a`.
    async fn new() -> Self {
        let secret = Secret::new("a worker secret of 32 characters".to_owned());
        let broker = Arc::new(Broker::new(&LiveConfig::new(secret), None, BootTime::default()));
        broker.register(&"a".parse().unwrap(), Access::Open).await.unwrap();
        let stop = CancellationToken::new();
        let entrance = Entrance::new(&stop, &TaskTracker::new());
        Self { broker, entrance, stop }
    }

    /// A page that is upgraded and has said nothing; `buffer` is what is on the way to it at most.
    async fn page(&self, buffer: usize) -> (Page, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(buffer);
        let config = Some(upgrade::config());
        let server = WebSocketStream::from_raw_socket(far, Role::Server, config).await;
        let client = Client {
            hall: Hall::Broker { broker: Arc::clone(&self.broker), access: Access::Open, form: Form::Plain },
            topic: "a".parse().unwrap(),
            address: "192.0.2.1".parse().unwrap(),
            client: None,
            standing: Standing::Seat(self.entrance.enter()),
            stop: self.stop.clone(),
        };
        let served = tokio::spawn(client.serve(server));
        (WebSocketStream::from_raw_socket(near, Role::Client, None).await, served)
    }

    async fn subscriber(&self, buffer: usize) -> (Page, JoinHandle<()>) {
        let (mut page, served) = self.page(buffer).await;
        page.send(Message::text(r#"{"type":"auth"}"#)).await.unwrap();
        assert_eq!(text(&mut page).await, AUTH_OK);
        (page, served)
    }

    async fn publish(&self, payload: &str) {
        let payload = serde_json::value::RawValue::from_string(payload.to_owned()).unwrap();
        self.broker.publish(&"a".parse().unwrap(), &payload).await.unwrap();
    }
}

async fn text(page: &mut Page) -> String {
    match page.next().await.unwrap().unwrap() {
        Message::Text(text) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn closed(page: &mut Page) -> u16 {
    match page.next().await.unwrap().unwrap() {
        Message::Close(Some(frame)) => frame.code.into(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_has_ten_seconds() {
    let scene = Scene::new().await;
    let (mut page, served) = scene.page(64 * 1024).await;
    let began = tokio::time::Instant::now();
    assert!(text(&mut page).await.contains(r#""code":"auth_required""#));
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(closed(&mut page).await, 1008);
    served.await.unwrap();
    assert_eq!(scene.broker.status().sockets, 0);
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_stays_and_who_does_not_is_gone_after_a_minute() {
    let scene = Scene::new().await;
    let (mut page, served) = scene.subscriber(64 * 1024).await;
    let began = tokio::time::Instant::now();
    // Reading answers pings, once that is flushed.
    for number in 1..=20_u64 {
        assert!(matches!(page.next().await.unwrap().unwrap(), Message::Ping(_)));
        assert_eq!(began.elapsed(), limit::LIVE_PING_INTERVAL * u32::try_from(number).unwrap());
        page.flush().await.unwrap();
    }
    let silent = tokio::time::Instant::now();
    served.await.unwrap();
    let gone = silent.elapsed();
    assert!(gone >= limit::LIVE_PONG_TIMEOUT && gone <= Duration::from_secs(63), "{gone:?}");
    assert_eq!(scene.broker.status().sockets, 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_read_delays_nobody_and_loses_the_newest() {
    let scene = Scene::new().await;
    let (_stuck, stuck_served) = scene.subscriber(256).await;
    let (mut quick, _served) = scene.subscriber(64 * 1024).await;
    for number in 0..500 {
        scene.publish(&number.to_string()).await;
        assert_eq!(text(&mut quick).await, format!(r#"{{"type":"push","payload":{number}}}"#));
    }
    let dropped = scene.broker.dropped();
    assert!((400..=500 - 32).contains(&dropped), "{dropped}");
    let page = async { while let Some(Ok(_)) = quick.next().await {} };
    tokio::select! {
        ended = stuck_served => ended.unwrap(),
        () = page => panic!("the quick one was sent away"),
    }
    assert_eq!(scene.broker.status().sockets, 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_message_goes_in_pieces_and_is_whole_before_anything_else() {
    let scene = Scene::new().await;
    // Longer than a frame, and letters of two bytes that no frame ends between.
    let payload = format!("\"x{}\"", "ü".repeat(limit::LIVE_FRAME_SENT_BYTES_MAX));
    assert!(payload.len() < limit::LIVE_WAITING_BYTES_MAX / 64);
    let (mut page, served) = scene.subscriber(100).await;
    scene.publish(&payload).await;
    scene.publish(&payload).await;
    let whole = format!(r#"{{"type":"push","payload":{payload}}}"#);
    assert_eq!(text(&mut page).await, whole);
    // In the middle of the second it has to go.
    scene.broker.register(&"a".parse().unwrap(), Access::Token).await.unwrap();
    assert_eq!(text(&mut page).await, whole);
    assert!(text(&mut page).await.contains(r#""code":"unauthorized""#));
    assert_eq!(closed(&mut page).await, 1008);
    served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_stops_says_so() {
    let scene = Scene::new().await;
    let (mut page, served) = scene.subscriber(64 * 1024).await;
    let (mut waiting, waiting_served) = scene.page(64 * 1024).await;
    scene.publish("1").await;
    assert!(text(&mut page).await.contains("push"));
    scene.stop.cancel();
    assert_eq!((closed(&mut page).await, closed(&mut waiting).await), (1001, 1001));
    served.await.unwrap();
    waiting_served.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_begins_to_want_tokens_sends_away_who_has_none() {
    let scene = Scene::new().await;
    let (mut page, _served) = scene.subscriber(64 * 1024).await;
    scene.broker.unregister(&"a".parse().unwrap()).await.unwrap();
    scene.broker.register(&"a".parse().unwrap(), Access::Token).await.unwrap();
    assert!(text(&mut page).await.contains(r#""code":"unauthorized""#));
    assert_eq!(closed(&mut page).await, 1008);
    let (mut late, _served) = scene.page(64 * 1024).await;
    late.send(Message::text(r#"{"type":"auth"}"#)).await.unwrap();
    assert!(
        text(&mut late).await.contains(r#""code":"auth_required""#),
        "though the topic was open at its upgrade"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_no_text_of_4_kib_ends_the_connection_with_its_code() {
    let scene = Scene::new().await;
    let exactly = format!(r#"{{"type":"auth","x":"{}"}}"#, "x".repeat(limit::LIVE_FRAME_BYTES_MAX - 22));
    assert_eq!(exactly.len(), limit::LIVE_FRAME_BYTES_MAX);
    let (mut page, _served) = scene.page(64 * 1024).await;
    page.send(Message::text(exactly.clone())).await.unwrap();
    assert_eq!(text(&mut page).await, AUTH_OK);
    for (message, code) in [
        (Message::text(exactly + " "), 1009),
        (Message::binary(vec![1]), 1003),
        // A text frame with a byte that is no UTF-8.
        (Message::Frame(bad_text()), 1007),
    ] {
        let (mut page, served) = scene.subscriber(64 * 1024).await;
        page.send(message).await.unwrap();
        assert_eq!(closed(&mut page).await, code);
        served.await.unwrap();
    }
    let (mut page, _served) = scene.page(64 * 1024).await;
    page.send(Message::binary(r#"{"type":"auth"}"#)).await.unwrap();
    assert!(text(&mut page).await.contains(r#""code":"auth_required""#));
}

fn bad_text() -> tokio_tungstenite::tungstenite::protocol::frame::Frame {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true)
}
