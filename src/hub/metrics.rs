//! The hub's figures and its readiness, as the monitor and the API answer them. Names are those of docs/metrics.md; a test
//! holds the two together.

use std::sync::Arc;

use serde_json::json;

use crate::id::Lane;
use crate::limit;
use crate::net::monitor::{Readiness, Watched};
use crate::obs::exposition::{Figure, Page};
use crate::wire::error::ErrorCode;
use crate::wire::job::JobState;

use super::Shared;
use super::counters::{ByName, Counters};
use super::live::{self, Live};
use super::registry::Registry;
use super::store::{AgentState, Totals};

impl Watched for Arc<Shared> {
    async fn page(&self) -> Page {
        // Side by side: a disk that hangs makes a page wait for that time once.
        let (totals, ready) = tokio::join!(
            tokio::time::timeout(limit::METRICS_STORE_TIMEOUT, self.store.totals()),
            self.readiness(),
        );
        let totals = match totals {
            Ok(Ok(totals)) => Some(totals),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the metrics come without the database's figures");
                None
            }
            Err(_late) => {
                tracing::warn!("the metrics come without the database's figures: it did not answer in time");
                None
            }
        };
        let mut page = Page::default();
        page.gauge("outpost_hub_build_info", "Always 1; the labels say which build runs.")
            .with(&[("version", env!("CARGO_PKG_VERSION")), ("commit", env!("OUTPOST_COMMIT"))], 1_u64);
        page.gauge("outpost_hub_ready", "Whether the database commits, as /readyz says it.")
            .is(matches!(ready, Readiness::Ready(_)));
        fleet(&mut page, &self.registry, totals.as_ref());
        let expiry =
            page.gauge("outpost_hub_tls_expiry_timestamp_seconds", "When the hub's certificate expires.");
        if let Some(tls) = &self.tls {
            expiry.is(Figure::Millis(i64::try_from(tls.expires().0).unwrap_or(i64::MAX)));
        }
        doors(&mut page, &self.counters);
        self.admission.metrics(&mut page);
        traffic(&mut page, &self.counters);
        stored(&mut page, &self.counters, totals.as_ref());
        relay(&mut page, &self.counters);
        jobs(&mut page, totals.as_ref());
        self.logbus.metrics(&mut page);
        api(&mut page, self);
        live::metrics(&mut page, self.live.as_ref());
        page
    }

    async fn readiness(&self) -> Readiness {
        let not_ready = |code: ErrorCode, reason: String| {
            Readiness::NotReady(json!({"ready": false, "error": code.name(), "message": reason}))
        };
        if self.stop.is_cancelled() {
            return not_ready(ErrorCode::GoingAway, ErrorCode::GoingAway.text().to_owned());
        }
        match tokio::time::timeout(limit::METRICS_STORE_TIMEOUT, self.store.ready()).await {
            Ok(Ok(())) => Readiness::Ready(match self.live.as_ref().and_then(Live::readiness) {
                // It serves those who are here, whatever the other nodes do.
                Some(live) => json!({"ready": true, "live": live}),
                None => json!({"ready": true}),
            }),
            Ok(Err(failure)) => not_ready(ErrorCode::StorageFull, format!("{failure}; acks are withheld")),
            Err(_late) => {
                let seconds = limit::METRICS_STORE_TIMEOUT.as_secs();
                not_ready(ErrorCode::Internal, format!("the database did not answer within {seconds} s"))
            }
        }
    }
}

fn by_reason(page: &mut Page, name: &'static str, help: &str, counts: &ByName) {
    page.counter(name, help).by("reason", counts.values());
}

fn fleet(page: &mut Page, registry: &Registry, totals: Option<&Totals>) {
    page.gauge("outpost_hub_sessions", "Agents that are registered now.").is(registry.len());
    let known = [AgentState::Active, AgentState::Revoked].map(AgentState::name);
    let agents = totals.map(|totals| known.map(|name| (name, count_of(&totals.agents, name))));
    page.gauge("outpost_hub_agents", "Agents that the hub knows.").by("state", agents.into_iter().flatten());
    let depths = registry.depths();
    let lanes = || Lane::ALL.into_iter().map(Lane::name).zip(depths);
    page.gauge(
        "outpost_hub_outbox_records",
        "Records that wait at connected agents, by their last heartbeats.",
    )
    .by("lane", lanes().map(|(lane, depth)| (lane, depth.records)));
    page.gauge("outpost_hub_outbox_bytes", "Their bytes.")
        .by("lane", lanes().map(|(lane, depth)| (lane, depth.bytes)));
}

fn doors(page: &mut Page, counters: &Counters) {
    page.counter("outpost_hub_tls_handshakes_total", "TLS handshakes that were completed.")
        .is(counters.tls_ok.value());
    let (name, help) = ("outpost_hub_tls_handshakes_failed_total", "TLS handshakes that failed, by why.");
    by_reason(page, name, help, &counters.tls_failed);
    page.counter("outpost_hub_upgrades_total", "Connections of agents that were upgraded.")
        .is(counters.auth_ok.value());
    let (name, help) =
        ("outpost_hub_requests_refused_total", "Upgrades and tokens refused with a status, by why.");
    by_reason(page, name, help, &counters.requests_refused);
    page.counter("outpost_hub_registrations_total", "Registrations that hub and agent both proved.")
        .is(counters.registrations.value());
    let help = "Whatever kept somebody out: refused upgrades and tokens, barred addresses, and connections that did not register, by why; a hub that goes keeps nobody out.";
    by_reason(page, "outpost_hub_auth_failed_total", help, counters.kept_out());
    page.counter("outpost_hub_credentials_total", "What upgraded connections had presented.")
        .by("kind", counters.credentials.values());
    page.counter("outpost_hub_tokens_issued_total", "Tokens issued.").is(counters.tokens_issued.value());
    page.counter("outpost_hub_enrolled_total", "Keys issued for invites.").is(counters.enrolled.value());
    let name = "outpost_hub_enroll_failed_total";
    by_reason(page, name, "Requests to enrol that were refused, by why.", &counters.enroll_failed);
    let help = "Upgraded connections that ended, registered or not, by why; `closed` is a polite end.";
    by_reason(page, "outpost_hub_sessions_ended_total", help, &counters.sessions_ended);
}

fn traffic(page: &mut Page, counters: &Counters) {
    page.counter("outpost_hub_frames_received_total", "Frames from agents.").is(counters.frames_in.value());
    page.counter("outpost_hub_frames_sent_total", "Frames and pings given to agents' sockets.")
        .is(counters.frames_out.value());
    page.counter("outpost_hub_received_bytes_total", "Bytes that came through the listeners, TLS included.")
        .is(counters.traffic.read());
    page.counter("outpost_hub_sent_bytes_total", "Bytes that the system took for peers, TLS included.")
        .is(counters.traffic.written());
    page.counter("outpost_hub_unknown_messages_total", "Messages that this version does not know.")
        .is(counters.unknown_messages.value());
}

fn stored(page: &mut Page, counters: &Counters, totals: Option<&Totals>) {
    let total = page.gauge("outpost_hub_stored_bytes", "Bytes of all agents' records.");
    if let Some(totals) = totals {
        total.is(totals.stored_bytes);
    }
    let most = page.gauge("outpost_hub_agent_stored_bytes_max", "Bytes of the agent that has most of them.");
    if let Some(totals) = totals {
        most.is(totals.stored_bytes_most);
    }
    page.counter(
        "outpost_hub_records_received_total",
        "Records handed to the database, without those it had.",
    )
    .is(counters.records_in.value());
    page.counter("outpost_hub_bundles_total", "Bundles that were taken in.").is(counters.bundles_in.value());
    let lost =
        page.counter("outpost_hub_records_lost_total", "Records that agents declared lost, by lane and why.");
    totals.into_iter().flat_map(|totals| &totals.lost).fold(lost, |family, (lane, reason, records)| {
        family.with(&[("lane", lane.name()), ("reason", reason)], *records)
    });
}

fn relay(page: &mut Page, counters: &Counters) {
    page.counter("outpost_hub_relays_total", "Messages between agents, by what became of them.")
        .by("outcome", counters.relays.values());
    page.counter(
        "outpost_hub_relays_kept_total",
        "Messages that were kept for their agents, by what these said of them.",
    )
    .by("outcome", counters.relays_kept.values());
    page.counter("outpost_hub_relays_expired_total", "Messages that were kept and not fetched in time.")
        .is(counters.relays_expired.value());
}

fn jobs(page: &mut Page, totals: Option<&Totals>) {
    let all = totals.map(|totals| {
        JobState::ALL
            .iter()
            .map(|state| (state.name(), count_of(&totals.jobs, state.name())))
            .collect::<Vec<_>>()
    });
    page.gauge("outpost_hub_jobs", "Jobs that the hub keeps, by status.")
        .by("status", all.into_iter().flatten());
    let orphans = page.gauge("outpost_hub_job_orphans", "Results of jobs that this hub does not know.");
    if let Some(totals) = totals {
        orphans.is(totals.job_orphans);
    }
}

fn api(page: &mut Page, shared: &Shared) {
    let followers = shared.followers.len();
    page.gauge("outpost_hub_followers", "Logs and own streams that are followed now.").is(followers);
    page.counter(
        "outpost_hub_api_limited_total",
        "Requests to the API that were refused as they came too often.",
    )
    .is(shared.counters.api_limited.value());
}

fn count_of(counts: &[(String, u64)], name: &str) -> u64 {
    counts.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count)
}

#[cfg(test)]
mod tests;
