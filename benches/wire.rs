//! Framing, measured beside its limit: HMAC-SHA256 with a cached key over the very bytes that are signed.
//!
//! A message is a `Records` envelope whose batch has the size named. Signing starts from the message as a value and
//! ends with the frame in a reused buffer; verifying starts from the received bytes and ends with the message.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod report;

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use criterion::Criterion;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use outpost::id::{Epoch, Lane, MessageId, StreamId};
use outpost::limit;
use outpost::secret::Secret;
use outpost::time::{ClockOffset, HubTime};
use outpost::wire::envelope::{Header, open, seal};
use outpost::wire::mac::MacKey;
use outpost::wire::message::{Codec, Message, Records};
use report::{Report, Target, beside};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

const KEY: [u8; 32] = [7; 32];

fn header() -> Header {
    Header {
        seq: 1_000_000,
        sent_at: HubTime(1_800_000_000_000),
        id: MessageId { hi: 0x0123_4567_89AB_CDEF, lo: 42 },
        correlation: MessageId::NONE,
    }
}

/// A shared buffer, as the outbox or a socket hands it over.
fn shared(bytes: &[u8]) -> Bytes {
    BytesMut::from(bytes).split().freeze()
}

fn message(size: usize) -> Message {
    Message::Records(Records {
        stream: StreamId { lane: Lane::Logs, epoch: Epoch::from_u64(0x1_DEAD_BEEF) },
        first: 1_000_000,
        count: 10,
        codec: Codec::None,
        raw_len: u32::try_from(size).unwrap(),
        batch: shared(&vec![0xA5; size]),
        clock_offset: Some(ClockOffset(-1500)),
    })
}

fn sealed(message: Message, key: &MacKey) -> Bytes {
    let mut frame = BytesMut::new();
    seal(header(), message, key, &mut frame);
    shared(&frame)
}

/// Runs of one turn: about half a millisecond.
fn chunk(size: usize) -> u64 {
    (500_000 / (size as u64 + 400)).max(8)
}

fn framing(criterion: &mut Criterion, report: &mut Report) {
    let key = MacKey::new(&Secret::new(KEY));
    let bare = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    for (size, sign_max, verify_max) in
        [(64, 1.40, 1.60), (512, 1.20, 1.25), (4096, 1.06, 1.05), (65_536, 1.08, 1.03)]
    {
        let message = message(size);
        let frame = sealed(message.clone(), &key);
        let prefix = frame.slice(..frame.len() - limit::MAC_TRAILER_BYTES);
        let limit = || {
            let mut state = bare.clone();
            state.update(black_box(&prefix));
            black_box(state.finalize());
        };
        let mut buffer = BytesMut::with_capacity(frame.len());
        let sign = beside(criterion, ("wire/sign", size as u64), chunk(size), limit, || {
            buffer.clear();
            seal(header(), black_box(&message).clone(), &key, &mut buffer);
            black_box(&buffer);
        });
        let verify = beside(criterion, ("wire/verify", size as u64), chunk(size), limit, || {
            let opened = open(black_box(&frame), &key, limit::MESSAGE_BYTES_MAX).unwrap();
            black_box(opened.into_message().unwrap());
        });
        report.ratio(&format!("sign/{size}"), &sign, Target::AtMost(sign_max));
        report.ratio(&format!("verify/{size}"), &verify, Target::AtMost(verify_max));
    }
}

/// The envelope of a peer that signs JSON: the MAC in hex over the text without it, the payload in base64.
#[derive(Serialize, Deserialize)]
struct JsonEnvelope {
    seq: u64,
    sent_at_ms: u64,
    id: String,
    lane: String,
    epoch: String,
    first: u64,
    count: u32,
    clock_offset_ms: i64,
    batch: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    mac: String,
}

impl JsonEnvelope {
    fn sealed(batch: &[u8], key: &Hmac<Sha256>) -> String {
        let mut envelope = Self {
            seq: 1_000_000,
            sent_at_ms: 1_800_000_000_000,
            id: "0123456789abcdef000000000000002a".to_owned(),
            lane: "logs".to_owned(),
            epoch: "00000001deadbeef".to_owned(),
            first: 1_000_000,
            count: 10,
            clock_offset_ms: -1500,
            batch: STANDARD.encode(batch),
            mac: String::new(),
        };
        let mut state = key.clone();
        state.update(serde_json::to_string(&envelope).unwrap().as_bytes());
        envelope.mac = hex::encode(state.finalize().into_bytes());
        serde_json::to_string(&envelope).unwrap()
    }

    fn opened(text: &str, key: &Hmac<Sha256>) -> Vec<u8> {
        let mut envelope: Self = serde_json::from_str(text).unwrap();
        let mac = hex::decode(std::mem::take(&mut envelope.mac)).unwrap();
        let mut state = key.clone();
        state.update(serde_json::to_string(&envelope).unwrap().as_bytes());
        state.verify_slice(&mac).unwrap();
        STANDARD.decode(envelope.batch).unwrap()
    }
}

fn against_json(criterion: &mut Criterion, report: &mut Report) {
    let key = MacKey::new(&Secret::new(KEY));
    let bare = Hmac::<Sha256>::new_from_slice(&KEY).unwrap();
    let message = message(512);
    let payload = vec![0xA5; 512];
    let mut buffer = BytesMut::with_capacity(4096);
    let ours = || {
        buffer.clear();
        seal(header(), black_box(&message).clone(), &key, &mut buffer);
        let frame = buffer.split().freeze();
        let opened = open(&frame, &key, limit::MESSAGE_BYTES_MAX).unwrap();
        black_box(opened.into_message().unwrap());
        drop(frame);
        buffer.reserve(1024);
    };
    let measured = beside(criterion, ("wire/json_both_ways", 512), 200, ours, || {
        let text = JsonEnvelope::sealed(black_box(&payload), &bare);
        black_box(JsonEnvelope::opened(&text, &bare));
    });
    report.ratio("json_both_ways/512", &measured, Target::AtLeast(5.0));
}

fn session_check(criterion: &mut Criterion, report: &mut Report) {
    let identity = SigningKey::from_bytes(&[3; 32]);
    let digest = [9; 64];
    let signature = identity.sign(&digest).to_bytes();
    let public = identity.verifying_key().to_bytes();
    let check = || {
        let key = VerifyingKey::from_bytes(black_box(&public)).unwrap();
        key.verify_strict(black_box(&digest), &Signature::from_bytes(&signature)).unwrap();
    };
    let measured = beside(criterion, ("wire/ed25519_check", 64), 20, || {}, check);
    report.figure("ed25519_check", measured.nanos() / 1000.0, "us", Target::AtMost(60.0));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut report = Report::new("wire");
    framing(&mut criterion, &mut report);
    against_json(&mut criterion, &mut report);
    session_check(&mut criterion, &mut report);
    criterion.final_summary();
    report.write("wire");
}
