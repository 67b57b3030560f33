//! The agent's figures and its readiness, as the monitor answers them. Names are those of docs/metrics.md; a test holds the
//! two together.

mod age;

use std::net::SocketAddr;

use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;

use serde_json::json;

use crate::id::Lane;
use crate::limit;
use crate::net::meter::Meter;
use crate::net::monitor::{BindError, Monitor, Readiness, Watched};
use crate::obs::exposition::{Figure, Page};
use crate::outbox::{LaneStat, Outbox, Stat, StoreError};
use crate::wire::job::JobState;

use super::config::Config;
use super::state::{Ends, LinkState, State, Status, Tally};
pub(super) use age::Clocks;

/// What the monitor looks at.
#[derive(Debug, Clone)]
pub(super) struct Gauges {
    pub(super) outbox: Outbox,
    pub(super) state: State,
    pub(super) traffic: Meter,
    /// The task that takes records from local programs.
    pub(super) intake: AbortHandle,
    pub(super) stop_intake: CancellationToken,
    pub(super) clocks: Clocks,
}

impl Watched for Gauges {
    async fn page(&self) -> Page {
        let stat = match self.stat().await {
            Ok(stat) => Some(stat),
            Err(error) => {
                tracing::warn!(error, "the metrics come without the outbox's figures");
                None
            }
        };
        let mut page = Page::default();
        let status = self.state.status(stat.clone().unwrap_or_default());
        link(&mut page, self.state.link(), &status, &self.state.ends());
        traffic(&mut page, &status, &self.traffic);
        page.gauge("outpost_agent_ready", "Whether records are taken and kept, as /readyz says it.")
            .is(self.taking() && stat.as_ref().is_some_and(|stat| !stat.degraded));
        outbox(&mut page, stat.as_ref(), &self.clocks);
        jobs(&mut page, &status, &self.state.ends());
        page
    }

    async fn readiness(&self) -> Readiness {
        let (stat, link) = (self.stat().await, self.state.link().name());
        let not_ready =
            |reason: &str| Readiness::NotReady(json!({"ready": false, "reason": reason, "link": link}));
        match stat {
            Err(error) => not_ready(&error),
            Ok(stat) if stat.degraded => not_ready(
                "the outbox is degraded: it takes nothing more until a restart; its disk or the log says why",
            ),
            Ok(_) if !self.taking() => {
                not_ready("no records are taken from local programs: the agent is stopping")
            }
            // A link that is down is what the outbox is for.
            Ok(_) => Readiness::Ready(json!({"ready": true, "link": link})),
        }
    }
}

impl Gauges {
    async fn stat(&self) -> Result<Stat, String> {
        let stat = tokio::time::timeout(limit::METRICS_STORE_TIMEOUT, self.outbox.stat()).await;
        let late =
            || format!("the outbox did not answer within {} s", limit::METRICS_STORE_TIMEOUT.as_secs());
        stat.map_err(|_late| late())?.map_err(|error: StoreError| error.to_string())
    }

    fn taking(&self) -> bool {
        !self.stop_intake.is_cancelled() && !self.intake.is_finished()
    }
}

/// The listener, where one is set.
///
/// # Errors
/// Where its address cannot be used.
pub(super) async fn bind(config: &Config) -> Result<Option<Monitor>, BindError> {
    match config.metrics_listen {
        Some(address) => Monitor::bind(address).await.map(Some),
        None => Ok(None),
    }
}

/// The monitor that runs.
#[derive(Debug)]
pub(super) struct Running {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) fn start(monitor: Monitor, gauges: Gauges) -> Self {
        let (address, stop) = (monitor.address(), CancellationToken::new());
        let task = tokio::spawn(monitor.serve(gauges, stop.clone()));
        Self { address, stop, task }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks it to end; the task that does.
    pub(super) fn stop(self) -> JoinHandle<()> {
        self.stop.cancel();
        self.task
    }
}

fn by_reason(page: &mut Page, name: &'static str, help: &str, tally: &Tally) {
    page.counter(name, help).by("reason", tally.iter());
}

fn link(page: &mut Page, link: LinkState, status: &Status, ends: &Ends) {
    let counters = &status.counters;
    page.gauge("outpost_agent_build_info", "Always 1; the labels say which build runs.")
        .with(&[("version", super::VERSION), ("commit", env!("OUTPOST_COMMIT"))], 1_u64);
    let states = LinkState::OF_THE_LINK.map(|state| (state.name(), link == state));
    page.gauge("outpost_agent_link", "1 for the state that the link to the hub is in.").by("state", states);
    page.counter("outpost_agent_dials_total", "Attempts to connect to the hub.").is(counters.dials);
    page.counter("outpost_agent_upgrades_total", "Connections that the hub upgraded.").is(counters.upgrades);
    let (name, help) =
        ("outpost_agent_upgrades_failed_total", "Attempts that did not lead to an upgrade, by why.");
    by_reason(page, name, help, &ends.upgrades_failed);
    page.counter("outpost_agent_registrations_total", "Registrations that hub and agent both proved.")
        .is(counters.registrations);
    let name = "outpost_agent_registrations_failed_total";
    by_reason(page, name, "Upgraded connections that did not register, by why.", &ends.registrations_failed);
    page.counter("outpost_agent_reconnects_total", "Registrations after the first.").is(status.reconnects);
    let name = "outpost_agent_sessions_ended_total";
    by_reason(page, name, "Registered sessions that ended, by why.", &ends.sessions);
    page.counter("outpost_agent_tokens_total", "Tokens fetched from the hub.").is(counters.tokens);
    let offset =
        page.gauge("outpost_agent_clock_offset_seconds", "Hub time less this machine's clock, where known.");
    if let Some(millis) = status.clock_offset_ms {
        offset.is(Figure::Millis(millis));
    }
    page.gauge("outpost_agent_config_version", "Version of the config snapshot, 0 where none.")
        .is(status.config_version);
}

fn traffic(page: &mut Page, status: &Status, meter: &Meter) {
    let counters = &status.counters;
    page.counter("outpost_agent_frames_sent_total", "Frames and pings given to the hub's socket.")
        .is(counters.frames_out);
    page.counter("outpost_agent_frames_received_total", "Frames from the hub.").is(counters.frames_in);
    page.counter("outpost_agent_sent_bytes_total", "Bytes that the system took for the hub, TLS included.")
        .is(meter.written());
    page.counter("outpost_agent_received_bytes_total", "Bytes from the hub, TLS included.").is(meter.read());
    page.counter("outpost_agent_acks_total", "Acks from the hub.").is(counters.acks);
    page.counter("outpost_agent_unknown_messages_total", "Messages that this version does not know.")
        .is(counters.unknown_bodies);
}

fn outbox(page: &mut Page, stat: Option<&Stat>, clocks: &Clocks) {
    let lanes = |figure: fn(LaneStat) -> u64| {
        let all = Lane::ALL.into_iter().filter_map(move |lane| Some((lane.name(), figure(stat?.lane(lane)))));
        all.collect::<Vec<_>>()
    };
    page.gauge("outpost_agent_outbox_records", "Records that wait for their ack.")
        .by("lane", lanes(|lane| lane.records));
    page.gauge("outpost_agent_outbox_bytes", "Their bytes.").by("lane", lanes(|lane| lane.bytes));
    page.gauge("outpost_agent_outbox_disk_bytes", "Bytes of the lane's files.")
        .by("lane", lanes(|lane| lane.disk_bytes));
    page.gauge("outpost_agent_outbox_quota_bytes", "Bytes that the lane may take.")
        .by("lane", lanes(|lane| lane.quota_bytes));
    let ages = Lane::ALL.into_iter().filter_map(|lane| {
        let oldest = stat?.lane(lane).oldest_ms;
        let age = oldest.map_or(0, |oldest| clocks.age(oldest));
        Some((lane.name(), Figure::Millis(i64::try_from(age).unwrap_or(i64::MAX))))
    });
    page.gauge(
        "outpost_agent_outbox_oldest_age_seconds",
        "Age of the oldest record that waits, 0 where none.",
    )
    .by("lane", ages);
    let gaps = page.gauge("outpost_agent_outbox_gaps", "Losses that the hub was not told of yet.");
    if let Some(stat) = stat {
        gaps.is(stat.gaps);
    }
    let losses = stat.map(|stat| &stat.losses).into_iter().flatten();
    losses
        .flat_map(|(lane, reasons)| reasons.iter().map(move |(reason, records)| (lane, reason, *records)))
        .fold(
            page.counter(
                "outpost_agent_records_lost_total",
                "Records declared lost since the start, by lane and why.",
            ),
            |family, (lane, reason, records)| family.with(&[("lane", lane), ("reason", reason)], records),
        );
    let degraded = page.gauge(
        "outpost_agent_outbox_degraded",
        "1 where a failure of the disk makes the outbox refuse everything until a restart.",
    );
    if let Some(stat) = stat {
        degraded.is(stat.degraded);
    }
}

fn jobs(page: &mut Page, status: &Status, ends: &Ends) {
    page.counter("outpost_agent_records_taken_total", "Records taken from local programs.")
        .is(status.counters.records_taken);
    let open = [JobState::Accepted, JobState::Running].map(JobState::name);
    let open = open.map(|name| (name, status.jobs.get(name).copied().unwrap_or_default()));
    page.gauge("outpost_agent_jobs", "Jobs that are accepted and not over.").by("state", open);
    page.counter("outpost_agent_jobs_finished_total", "Jobs that ended since the start, by how.")
        .by("status", ends.jobs.iter());
    page.counter(
        "outpost_agent_operator_refusals_total",
        "Jobs and config snapshots refused while there were operator keys.",
    )
    .is(status.counters.operator_refusals);
}
