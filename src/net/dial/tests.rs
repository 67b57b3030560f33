use tokio::net::TcpListener;

use super::*;
use crate::net::patience::Late;

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
