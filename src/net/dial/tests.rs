use std::net::IpAddr;

use tokio::net::TcpListener;

use super::*;
use crate::net::patience::Late;
use crate::net::upgrade::{Greeting, upgrade};
use crate::secret::Secret;

fn route(host: &str, port: u16, security: Security) -> Route {
    Route { host: host.to_owned(), port, security }
}

fn through(port: u16) -> Dialer {
    let proxies = Proxies::new(Some(&format!("http://127.0.0.1:{port}")), |_| None).unwrap();
    Dialer { proxies, ..Dialer::default() }
}

async fn silent() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_says_nothing_is_given_up_in_time() {
    let (_listener, port) = silent().await;
    let begun = tokio::time::Instant::now();
    let error = through(port).connect(&route("hub.example", 443, Security::Tls)).await.unwrap_err();
    let DialError::Proxy(ProxyError::Late { late: Late::Silence(_), .. }) = &error else { panic!("{error}") };
    assert_eq!(begun.elapsed(), limit::DIAL_STALL_TIMEOUT);
    assert!(error.to_string().contains(&format!("the proxy 127.0.0.1:{port} is too slow")), "{error}");
}

#[tokio::test]
async fn a_name_behind_a_proxy_is_the_proxy_s_to_find() {
    let (listener, port) = silent().await;
    let asked = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 1024];
        let length = tokio::io::AsyncReadExt::read(&mut stream, &mut asked).await.unwrap();
        String::from_utf8_lossy(&asked[..length]).into_owned()
    };
    let dialer = through(port);
    let route = route("name-that-nobody-knows.invalid", 443, Security::Tls);
    let (result, asked) = tokio::join!(dialer.connect(&route), asked);
    assert!(asked.starts_with("CONNECT name-that-nobody-knows.invalid:443 HTTP/1.1\r\n"), "{asked}");
    assert!(matches!(
        result.unwrap_err(),
        DialError::Proxy(ProxyError::Broken { .. } | ProxyError::Closed { .. })
    ));
}

#[tokio::test]
async fn every_address_that_was_tried_is_named() {
    let (listener, port) = silent().await;
    drop(listener);
    let error = Dialer::default().connect(&route("localhost", port, Security::Plain)).await.unwrap_err();
    let DialError::Connect { tried, .. } = &error else { panic!("{error}") };
    assert_eq!(tried.count(), 2);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot connect to localhost:{port} ([::1]:{port}: ")), "{text}");
    assert!(text.contains(&format!("; 127.0.0.1:{port}: Connection refused")), "{text}");
}

/// Two addresses of one name, each with somebody who lets everybody in and says nothing.
async fn mute_pair() -> (Dialer, Route, [TcpListener; 2]) {
    let addresses = [[127, 0, 0, 1], [127, 0, 0, 2]].map(IpAddr::from);
    let listeners = loop {
        let (first, port) = silent().await;
        if let Ok(second) = TcpListener::bind((addresses[1], port)).await {
            break [first, second];
        }
    };
    let port = listeners[0].local_addr().unwrap().port();
    let resolver = Resolver::new(move |_name| Ok(addresses.to_vec()));
    (Dialer { resolver, ..Dialer::default() }, route("hub.test", port, Security::Plain), listeners)
}

fn address(connected: &Connected) -> SocketAddr {
    let Way::At(address) = connected.trial.way() else { panic!("{connected:?}") };
    address
}

#[tokio::test]
async fn an_address_that_lets_in_and_is_of_no_use_makes_way_for_the_others() {
    let (dialer, route, _listeners) = mute_pair().await;
    let first = dialer.connect(&route).await.unwrap();
    let useless = address(&first);
    drop(first);
    for _ in 0..3 {
        // Clones know it, too.
        let next = dialer.clone().connect(&route).await.unwrap();
        assert_ne!(address(&next), useless);
        next.trial.served();
    }
    drop(dialer.connect(&route).await.unwrap());
    assert_eq!(
        address(&dialer.connect(&route).await.unwrap()),
        useless,
        "both were of no use: it has its turn"
    );
}

#[tokio::test]
async fn the_address_that_says_nothing_is_named() {
    let (dialer, route, _listeners) = mute_pair().await;
    let connected = dialer.connect(&route).await.unwrap();
    let (at, way) = (address(&connected), connected.trial.way());
    let connect_url = format!("ws://hub.test:{}/v1/agents/connect", route.port);
    let endpoint = Endpoint { route, connect_url };
    let greeting =
        Greeting { authorization: &Secret::new("opa1.who".to_owned()), nonce: &[7; 32], signed: None };
    tokio::time::pause();
    let error = upgrade(connected.stream, way, &endpoint, greeting).await.unwrap_err();
    assert!(matches!(error, DialError::Timeout { .. }), "{error}");
    let port = at.port();
    assert!(error.to_string().starts_with(&format!("hub.test:{port} at {at} is too slow")), "{error}");
}
