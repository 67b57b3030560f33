//! A page of metrics as one reads it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::raw_agent::within;

/// One GET on a connection of its own: status and body.
pub(super) async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    within(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut answer).await.unwrap();
    })
    .await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The samples of a page, by name and labels as they stand there.
#[derive(Debug)]
pub(super) struct Samples(BTreeMap<String, f64>);

impl Samples {
    pub(super) async fn of(address: SocketAddr) -> Self {
        let (status, page) = ask(address, "/metrics").await;
        assert_eq!(status, 200, "{page}");
        let samples = page.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, figure) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), figure.parse().unwrap())
        });
        Self(samples.collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Every sample whose name begins so is one of these.
    pub(super) fn expect(&self, name: &str, expected: &[(&str, f64)]) {
        let same = |found: &str| found == name || found.starts_with(&format!("{name}{{"));
        let found: Vec<_> = self.0.iter().filter(|(found, _)| same(found)).collect();
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(labels, figure)| (format!("{name}{labels}"), *figure)).collect();
        assert!(found.into_iter().eq(&expected), "{name}: {expected:?}, and found {:?}", self.0);
    }

    pub(super) fn all(&self, expected: &[(&str, &[(&str, f64)])]) {
        expected.iter().for_each(|(name, samples)| self.expect(name, samples));
    }
}
