//! The `[jobs]` section: what may run, and how it ends.

use crate::exec::EnvAllow;
use crate::limit;
use crate::wire::operator::OperatorKeys;

use super::raw::Raw;
use super::{Config, ConfigError, Origin};

impl Config {
    pub(super) fn check_jobs(&mut self, raw: &Raw, origin: &Origin<'_>) -> Result<(), ConfigError> {
        let (section, jobs) = (&raw.jobs, &mut self.jobs);
        let most = limit::JOB_QUEUE_MAX;
        if let Some(places) = origin.count("jobs.concurrency", section.concurrency.as_ref(), most)? {
            jobs.concurrency = places;
        }
        if let Some(queue) = origin.count("jobs.queue", section.queue.as_ref(), most)? {
            jobs.queue = queue.get() as usize;
        }
        origin.time("jobs.grace", &section.grace, &mut jobs.grace)?;
        if let Some(bytes) = origin.size("jobs.output_max", section.output_max.as_ref())? {
            jobs.output_max = bytes;
        }
        if let Some(patterns) = &section.env_allow {
            self.exec.env_allow = EnvAllow::new(patterns.clone());
        }
        for root in section.roots.iter().flatten() {
            if !root.is_absolute() {
                return Err(origin.wrong("jobs.roots", format!("{} is not absolute", root.display())));
            }
            self.exec.roots.push(root.clone());
        }
        self.exec.user.clone_from(&section.user);
        if let Some(texts) = &section.operator_keys {
            let keys = OperatorKeys::parse(texts);
            self.operator_keys =
                Some(keys.map_err(|error| origin.wrong("jobs.operator_keys", error.to_string()))?);
        }
        self.kinds = section.kinds.as_deref().map(|kinds| origin.kinds(kinds)).transpose()?;
        Ok(())
    }
}
