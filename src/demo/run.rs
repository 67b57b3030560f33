//! The demo from its first process to its verdict.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::hub::Hub;
use crate::hub::config::Config;
use crate::obs::random;

use super::DemoError;
use super::account::{Verdict, Writers};
use super::child::Program;
use super::fault;
use super::job::{JobVerdict, Jobs};
use super::progress::Progress;
use super::remote::Remote;
use super::site::{Places, Site};

/// How long the outboxes may take to drain after the last fault.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(120);
/// How often they are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What a demo does.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Agent processes, at least one.
    pub agents: u16,
    /// Records over all agents.
    pub records: u64,
    /// Times a link is cut; half as many agents are killed, but at least three.
    pub cuts: u16,
    /// Jobs over all agents.
    pub jobs: u16,
    /// Draws the plan of faults.
    pub seed: u64,
    /// Where hub and agents keep their data; a new temporary folder where `None`, removed after a clean end.
    pub keep: Option<PathBuf>,
    /// No progress on the terminal.
    pub quiet: bool,
}

/// What a demo found, as its last line of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Records that `emit` called durable.
    pub appended: u64,
    /// Of those, the ones the hub shows under their id and with their bytes.
    pub arrived: u64,
    /// Of those, the ones it does not.
    pub lost: u64,
    /// Records or texts the hub shows more than once.
    pub duplicate_effects: u64,
    /// Records that stand after a later one of their lane and epoch.
    pub out_of_order: u64,
    /// Records that arrived although a kill came before `emit` could call them durable.
    pub unconfirmed: u64,
    /// Links cut.
    pub cuts: u64,
    /// Agents killed.
    pub kills: u64,
    /// Agent processes.
    pub agents: u16,
    /// What the plan was drawn from.
    pub seed: u64,
    /// What became of the jobs, where there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobVerdict>,
}

impl Report {
    /// Whether nothing was lost, doubled or out of order, and each job ran and ended as it may.
    pub(crate) fn is_clean(&self) -> bool {
        self.appended == self.arrived
            && self.lost + self.duplicate_effects + self.out_of_order == 0
            && self.jobs.is_none_or(|jobs| jobs.is_clean())
    }
}

/// Carries a demo out. Its processes end with it, however it ends.
///
/// # Errors
/// Where a process, file or socket fails; a loss is no error but in the report.
pub(crate) async fn run(options: &Options) -> Result<Report, DemoError> {
    let folder = Folder::make(options.keep.as_deref())?;
    let report = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
        report = carry_out(options, &folder) => report,
    }?;
    if report.is_clean() {
        folder.remove();
    } else {
        tracing::error!(folder = %folder.data.display(), "the demo is not clean; its data and logs are kept");
    }
    Ok(report)
}

async fn carry_out(options: &Options, folder: &Folder) -> Result<Report, DemoError> {
    let progress = Progress::new(options.records, options.jobs.into(), options.quiet);
    let program = Program::current()?;
    let hub_data = folder.data.join("hub");
    let hub = Hub::start(local_hub(&hub_data)).await.map_err(|error| DemoError::Hub(error.to_string()))?;
    let address = hub.local_addr();
    let plans = fault::plan(options.seed, options.agents.into(), options.records, options.cuts.into());

    let writers = if options.jobs == 0 { Writers::EmitAlone } else { Writers::JobsToo };
    let starting = (1..=plans.len()).map(|number| {
        let name = format!("edge-{number}");
        let places = folder.places(&name);
        let (program, hub_data) = (program.clone(), hub_data.clone());
        async move {
            let arguments = ["hub", "agent", "add", &name, "--data"].map(OsStr::new);
            let files = [hub_data.as_os_str(), OsStr::new("--key-out"), places.key.as_os_str()];
            program.output(&[arguments.as_slice(), &files].concat(), Vec::new()).await?;
            Site::start(name, program, places, address, writers).await
        }
    });
    let mut sites = try_join_all(starting).await?;
    let remote = Remote::new(program, address, &hub_data);
    let mut jobs = Jobs::plan(options.seed, options.jobs.into(), options.agents, &folder.data.join("jobs"))?;
    // Some run already when the first fault strikes.
    jobs.submit(&remote, Jobs::running_at_once(sites.len()), &progress).await?;
    tokio::try_join!(
        try_join_all(sites.iter_mut().zip(plans).map(|(site, plan)| site.work(plan, &progress))),
        jobs.submit(&remote, usize::MAX, &progress),
    )?;
    let shown = jobs.wait(&remote, &progress).await?;

    progress.show("everything is durable; waiting until it has arrived");
    if timeout(DRAIN_TIMEOUT, drained(&sites)).await.is_err() {
        tracing::error!(seconds = DRAIN_TIMEOUT.as_secs(), "the outboxes did not drain in time");
    }
    let mut verdict = Verdict::default();
    for site in &sites {
        let listed = remote.records(site.name()).await?;
        verdict.add(site.account().settle(&listed));
        jobs.enter(&listed)?;
    }
    let jobs = jobs.settle(&remote, &shown, &progress).await?;
    try_join_all(sites.into_iter().map(Site::stop)).await?;
    hub.shutdown().await;
    progress.end();

    let counts = progress.counts();
    Ok(Report {
        appended: verdict.appended,
        arrived: verdict.arrived,
        lost: verdict.lost,
        duplicate_effects: verdict.duplicate_effects,
        out_of_order: verdict.out_of_order,
        unconfirmed: verdict.unconfirmed,
        cuts: counts.cuts,
        kills: counts.kills,
        agents: options.agents,
        seed: options.seed,
        jobs,
    })
}

/// A hub on a free loopback port with the defaults.
fn local_hub(data: &Path) -> Config {
    Config {
        data: data.to_path_buf(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        ..Config::default()
    }
}

/// Returns when no site has a record waiting.
async fn drained(sites: &[Site]) {
    for site in sites {
        // An agent that does not answer right now is asked again: the time-out bounds it.
        while !matches!(site.waiting().await, Ok(0)) {
            sleep(LOOK_INTERVAL).await;
        }
    }
}

/// Where a demo keeps its things.
struct Folder {
    /// Data, keys and logs.
    data: PathBuf,
    /// Sockets and ready files: a Unix socket's path must be short.
    runtime: PathBuf,
    temporary: bool,
}

impl Folder {
    fn make(keep: Option<&Path>) -> Result<Self, DemoError> {
        let unique = format!("outpost-demo-{}", hex::encode(random::bytes::<4>()));
        let runtime = std::env::temp_dir().join(unique);
        let data = keep.map_or_else(|| runtime.join("data"), Path::to_path_buf);
        for folder in [&runtime, &data] {
            std::fs::create_dir_all(folder)
                .map_err(DemoError::io(format!("making the folder {}", folder.display())))?;
        }
        Ok(Self { data, runtime, temporary: keep.is_none() })
    }

    fn places(&self, name: &str) -> Places {
        Places {
            data: self.data.join(name),
            key: self.data.join(format!("{name}.key")),
            socket: self.runtime.join(format!("{name}.sock")),
            ready: self.runtime.join(format!("{name}.ready")),
            log: self.data.join(format!("{name}.log")),
        }
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_dir_all(&self.runtime) {
            tracing::warn!(folder = %self.runtime.display(), %error, "the demo's folder could not be removed");
        }
        if !self.temporary {
            tracing::info!(folder = %self.data.display(), "the demo's data is kept");
        }
    }
}
