//! A DNS server that answers each name as it is told, over UDP and TCP, on the port that resolvers ask.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

/// What becomes of a question.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Nothing, ever.
    Silence,
    /// These.
    Addresses(Vec<IpAddr>),
}

/// Ends with the test's process. Names it was not told of do not exist.
#[derive(Default)]
pub(crate) struct Dns {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<BTreeMap<String, usize>>,
}

/// What an answer over UDP may have; a longer one is cut and asked for again over TCP.
const UDP_BYTES: usize = 512;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

impl Dns {
    pub(crate) fn start() -> Arc<Self> {
        let dns = Arc::new(Self::default());
        let (udp, tcp) =
            (UdpSocket::bind("127.0.0.1:53").unwrap(), TcpListener::bind("127.0.0.1:53").unwrap());
        let (over_udp, over_tcp) = (Arc::clone(&dns), Arc::clone(&dns));
        std::thread::spawn(move || {
            let mut question = [0; UDP_BYTES];
            while let Ok((length, from)) = udp.recv_from(&mut question) {
                if let Some(answer) = over_udp.answer(&question[..length], UDP_BYTES) {
                    udp.send_to(&answer, from).unwrap();
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                // A resolver that hangs up has what it wanted.
                let _ = over_tcp.over_tcp(stream);
            }
        });
        dns
    }

    pub(crate) fn tell(&self, name: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(name.to_owned(), answer);
    }

    pub(crate) fn addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.tell(name, Answer::Addresses(addresses));
    }

    /// How often the IPv4 addresses of a name were asked for.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.asked.lock().unwrap().get(name).copied().unwrap_or_default()
    }

    fn over_tcp(&self, mut stream: TcpStream) -> std::io::Result<()> {
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut question = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut question)?;
            let Some(answer) = self.answer(&question, usize::from(u16::MAX)) else { return Ok(()) };
            stream.write_all(&u16::try_from(answer.len()).unwrap().to_be_bytes())?;
            stream.write_all(&answer)?;
        }
    }

    /// RFC 1035, 4.1: header, the question as it came, and the answers, each pointing at the question's name.
    fn answer(&self, question: &[u8], room: usize) -> Option<Vec<u8>> {
        let (name, end) = name_of(question)?;
        let asked_type = u16::from_be_bytes([question[end], question[end + 1]]);
        if asked_type == TYPE_A {
            *self.asked.lock().unwrap().entry(name.clone()).or_default() += 1;
        }
        let known = self.answers.lock().unwrap().get(&name).cloned();
        let addresses = match &known {
            Some(Answer::Silence) => return None,
            Some(Answer::Addresses(addresses)) => addresses.as_slice(),
            None => &[],
        };
        let mut records = Vec::new();
        let mut count: u16 = 0;
        for address in addresses {
            let (record_type, bytes) = match address {
                IpAddr::V4(address) => (TYPE_A, address.octets().to_vec()),
                IpAddr::V6(address) => (TYPE_AAAA, address.octets().to_vec()),
            };
            if record_type == asked_type {
                count += 1;
                records.extend([0xC0, 12]);
                records.extend(record_type.to_be_bytes());
                // Class IN; a day, which nobody may rely on.
                records.extend([0, 1, 0, 1, 0x51, 0x80, 0]);
                records.push(u8::try_from(bytes.len()).unwrap());
                records.extend(bytes);
            }
        }
        let section = &question[12..end + 4];
        let cut = 12 + section.len() + records.len() > room;
        if cut {
            (count, records) = (0, Vec::new());
        }
        let code = if known.is_none() { 3 } else { 0 };
        let mut answer = question[..2].to_vec();
        // An answer with authority, cut or not, to a question that wished for recursion.
        answer.extend([0x85 | if cut { 2 } else { 0 }, 0x80 | code, 0, 1]);
        answer.extend(count.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(section);
        answer.extend(records);
        Some(answer)
    }
}

/// The question's name in small letters, and where it ends.
fn name_of(question: &[u8]) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        let label = question.get(at..at + length)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(label).to_lowercase());
        at += length;
    }
}
