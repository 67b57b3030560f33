//! The log bus: the newest lines of each app (1000, and none older than an hour), over all agents it runs on.
//!
//! What an app's lines are is in the records themselves: a record of the logs lane that names an app. The writer numbers them in
//! the transaction that stores them; the rings here only follow the database (`feed`). So nothing that comes in waits for them,
//! a record that comes twice has its lines here once, as it is stored once, and a hub that starts again fills them anew, with
//! the same numbers: who asks with a number from before gets what follows it, as if nothing had happened.

mod feed;
mod line;
mod ring;
mod rings;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::id::AppName;
use crate::obs::exposition::Page;
use crate::time::HubTime;

use super::hub_time;
use super::store::{Changed, Store, StoreError};

pub(super) use feed::{fill, open};
pub(super) use line::count;
pub use line::{JobLine, Line};
pub use rings::{AppState, Found, Range};

use rings::{Figures, Rings};

/// The rings, and who waits for more in them.
pub(super) struct LogBus {
    rings: Mutex<Rings>,
    fed: watch::Sender<()>,
}

impl LogBus {
    fn new(rings: Rings) -> Self {
        Self { rings: Mutex::new(rings), fed: watch::Sender::default() }
    }

    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on new lines are told. To be called before what is waited for is looked at.
    pub(super) fn watch(&self) -> Changed {
        Changed::of(self.fed.subscribe())
    }

    /// What there is of a range.
    pub(super) fn lines(&self, range: &Range) -> Found {
        self.rings().lines(hub_time(), range)
    }

    /// The apps that have lines, by name.
    pub(super) fn apps(&self) -> Vec<AppState> {
        self.rings().apps(hub_time())
    }

    /// Drops the lines there are of an app, for ever: a hub that starts again does not bring them back. How many of them were in
    /// its ring.
    pub(super) async fn drop_app(&self, store: &Store, app: &AppName) -> Result<usize, StoreError> {
        let is_it = |state: &AppState| state.app == *app;
        // What is stored and not read back yet may be its lines, too.
        let newest = store.newest_app_line().await?;
        if self.rings().seen() >= newest && !self.apps().iter().any(is_it) {
            return Ok(0);
        }
        let upto = store.drop_app_lines(app, hub_time()).await?;
        Ok(self.rings().drop_app(app, upto))
    }

    /// Their figures.
    pub(super) fn metrics(&self, page: &mut Page) {
        let Figures { apps, lines, bytes, fed, fallen } = self.rings().figures();
        page.gauge("outpost_hub_apps", "Apps that have log lines in their rings.").is(apps);
        page.gauge("outpost_hub_app_lines", "Log lines of apps in their rings.").is(lines);
        page.gauge("outpost_hub_app_lines_bytes", "Bytes that these take.").is(bytes);
        page.counter("outpost_hub_app_lines_total", "Log lines of apps that came to their rings.").is(fed);
        page.counter(
            "outpost_hub_app_lines_dropped_total",
            "Log lines of apps that fell out of their rings, by why.",
        )
        .by("reason", fallen);
    }

    fn age(&self, now: HubTime) {
        self.rings().age(now);
    }
}
