//! Counters of one hub, shown by `GET /v1/status` and, under their Prometheus names, by `metrics`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::net::meter::Meter;
use crate::wire::error::ErrorCode;

/// All of them; they only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) tls_ok: Counter,
    /// By the reasons of [`crate::net::tls::server::HandshakeError::name`], and `timeout`.
    pub(super) tls_failed: ByName,
    pub(super) auth_ok: Counter,
    /// Counted with [`Counters::keep_out`].
    auth_failed: ByName,
    /// What upgrades that were let in presented: bearer or token.
    pub(super) credentials: ByName,
    pub(super) tokens_issued: Counter,
    pub(super) enrolled: Counter,
    pub(super) enroll_failed: ByName,
    pub(super) sessions_ended: ByName,
    pub(super) registrations: Counter,
    pub(super) frames_in: Counter,
    pub(super) frames_out: Counter,
    pub(super) records_in: Counter,
    pub(super) bundles_in: Counter,
    pub(super) unknown_messages: Counter,
    /// Messages between agents, by what became of them.
    pub(super) relays: Arc<ByName>,
    /// Those that the store kept, by what their agents said when they got them.
    pub(super) relays_kept: ByName,
    pub(super) relays_expired: Counter,
    /// Upgrades and tokens that were refused with a status.
    pub(super) requests_refused: ByName,
    /// Requests to the API that came too often.
    pub(super) api_limited: Counter,
    /// Bytes through the listeners.
    pub(super) traffic: Meter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Numbers by a name out of our own tables (so their count is bounded).
#[derive(Debug, Default)]
pub(super) struct ByName(Mutex<BTreeMap<&'static str, u64>>);

impl ByName {
    pub(super) fn add(&self, name: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
    }

    pub(super) fn values(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn value(&self) -> Value {
        json!(self.values())
    }
}

impl Counters {
    /// Somebody was kept out. That the hub goes says nothing of anybody.
    pub(super) fn keep_out(&self, code: ErrorCode) {
        if code != ErrorCode::GoingAway {
            self.auth_failed.add(code.name());
        }
    }

    pub(super) const fn kept_out(&self) -> &ByName {
        &self.auth_failed
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "tls_ok": self.tls_ok.value(),
            "tls_failed": self.tls_failed.value(),
            "auth_ok": self.auth_ok.value(),
            "auth_failed": self.auth_failed.value(),
            "credentials": self.credentials.value(),
            "tokens_issued": self.tokens_issued.value(),
            "enrolled": self.enrolled.value(),
            "enroll_failed": self.enroll_failed.value(),
            "registrations": self.registrations.value(),
            "sessions_ended": self.sessions_ended.value(),
            "frames_in": self.frames_in.value(),
            "frames_out": self.frames_out.value(),
            "records_in": self.records_in.value(),
            "bundles_in": self.bundles_in.value(),
            "unknown_messages": self.unknown_messages.value(),
            "relays": self.relays.value(),
            "relays_kept": self.relays_kept.value(),
            "relays_expired": self.relays_expired.value(),
        })
    }
}
