//! A proxy between agent and hub that hears everything, to know the keys of their sessions.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hkdf::Hkdf;
use outpost::limit;
use outpost::wire::envelope;
use outpost::wire::key::KeyFile;
use outpost::wire::message::Message;
use sha2::Sha256;

/// So much of the beginning of each direction is kept: the upgrade and the Challenge.
const KEPT: usize = 4096;

/// The beginnings of both directions of one connection.
#[derive(Default)]
struct Heard {
    up: Vec<u8>,
    down: Vec<u8>,
}

pub(crate) struct Eavesdropper {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<Arc<Mutex<Heard>>>>>,
}

impl Eavesdropper {
    pub(crate) fn start(hub: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<_>>> = Arc::default();
        let all = Arc::clone(&heard);
        // It ends with the test's process.
        std::thread::spawn(move || {
            while let Ok((agent, _)) = listener.accept() {
                let Ok(hub) = TcpStream::connect(hub) else { continue };
                let one: Arc<Mutex<Heard>> = Arc::default();
                all.lock().unwrap().push(Arc::clone(&one));
                pass(agent.try_clone().unwrap(), hub.try_clone().unwrap(), Arc::clone(&one), |heard| {
                    &mut heard.up
                });
                pass(hub, agent, one, |heard| &mut heard.down);
            }
        });
        Self { address, heard }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The keys of both directions of every session that was begun.
    pub(crate) fn session_keys(&self, key: &KeyFile) -> Vec<[u8; 32]> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter_map(|one| session_keys(&one.lock().unwrap(), key)).flatten().collect()
    }

    /// The tokens that the agent bought.
    pub(crate) fn tokens(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter_map(|one| token(&one.lock().unwrap().down)).collect()
    }
}

fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    heard: Arc<Mutex<Heard>>,
    side: fn(&mut Heard) -> &mut Vec<u8>,
) {
    std::thread::spawn(move || {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(count) = from.read(&mut bytes) {
            {
                // First, so that whoever sees what follows from it finds it here.
                let mut heard = heard.lock().unwrap();
                let kept = side(&mut heard);
                let room = KEPT.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&bytes[..room]);
            }
            if count == 0 || to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// What `POST /v1/agents/token` answered.
fn token(down: &[u8]) -> Option<String> {
    let answer = String::from_utf8_lossy(down);
    let (_, rest) = answer.split_once("\"token\":\"")?;
    rest.split_once('"').map(|(token, _)| token.to_owned())
}

/// The key schedule once more, from what was heard and the agent's key.
fn session_keys(heard: &Heard, key: &KeyFile) -> Option<[[u8; 32]; 2]> {
    let request = String::from_utf8_lossy(&heard.up).to_lowercase();
    let at = request.find("x-outpost-nonce:")? + "x-outpost-nonce:".len();
    // The header's value is not lower case.
    let value = String::from_utf8_lossy(heard.up.get(at..)?).into_owned();
    let value = value.lines().next()?.trim();
    let agent_nonce: [u8; 32] = URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok()?;
    let end = heard.down.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let frame = &heard.down[end..];
    // A binary message of up to 125 bytes, or of up to 64 KiB.
    let (length, begin) = match *frame {
        [0x82, 126, high, low, ..] => (usize::from(u16::from_be_bytes([high, low])), 4),
        [0x82, length, ..] => (usize::from(length), 2),
        _ => return None,
    };
    let frame = Bytes::copy_from_slice(frame.get(begin..begin + length)?);
    let root = key.key.mac_root();
    let challenge_key = root.challenge_key(&agent_nonce, key.hub_id, key.agent_id);
    let opened = envelope::open(&frame, &challenge_key, limit::MESSAGE_BYTES_MAX).ok()?;
    let Ok(Message::Challenge(challenge)) = opened.into_message() else { return None };
    let salt = [agent_nonce, challenge.hub_nonce].concat();
    Some([b"a2h".as_slice(), b"h2a"].map(|direction| {
        let info: [&[u8]; 6] = [
            b"outpost/v1 ",
            direction,
            key.hub_id.as_bytes(),
            key.agent_id.as_bytes(),
            challenge.session_id.as_bytes(),
            &[0; 32],
        ];
        let mut output = [0; 32];
        Hkdf::<Sha256>::new(Some(&salt), root.expose()).expand_multi_info(&info, &mut output).unwrap();
        output
    }))
}
