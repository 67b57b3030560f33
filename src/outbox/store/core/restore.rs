//! Undoing a commit that failed.

use std::collections::BTreeMap;

use crate::outbox::store::host::{Batch, Fault, Host, Scan, Tree};

use super::sum::{self, Sum};
use super::{Core, Need, envelope, renew};

impl Core {
    /// After a full disk: opens the database anew, since one that failed stays so, and commits what the rows of the refused
    /// commit held before, with what waits. Gives the commit's number; counts after [`Self::settle`].
    pub(in crate::outbox::store) fn restore(&mut self, host: &dyn Host) -> Result<u64, Fault> {
        self.wanted.clear();
        if let Some(failed) = self.database.take() {
            // Its error is known; what it still says while it closes adds nothing.
            match failed.close() {
                Err(fault @ Fault::Broken(_)) => return Err(fault),
                Err(fault) => tracing::debug!(%fault, "the core's database closed after its failure"),
                Ok(()) => {}
            }
        }
        self.reserved = 0;
        let dir = self.path.parent().unwrap_or(&self.path);
        // The names a renewal gave count before anything is committed under them.
        host.sync_folder(dir)?;
        if !host.exists(&self.path.join("db")) {
            // It was being written anew; opening would make an empty one.
            renew::settle(host, dir)?;
            if !host.exists(&self.path.join("db")) {
                return Err(Fault::Broken(format!("{} is gone", self.path.display())));
            }
        }
        self.database = Some(host.open_database(&self.path)?);
        self.find_ahead()?;
        let number = self.attempts.saturating_add(1);
        self.attempts = number;
        let before =
            self.undo.get_or_insert_default().iter().map(|(key, value)| (key.clone(), value.clone()));
        let lazy = self.lazy.iter().map(|(key, value)| {
            let value =
                value.as_ref().map(|value| envelope::seal_secret(key, number, value, self.cipher.as_deref()));
            (key.clone(), value)
        });
        let rows: BTreeMap<Vec<u8>, Option<Vec<u8>>> = before.chain(lazy).collect();
        // Whether the refused commit is there is not known: what there will be is counted.
        let mut sum = Sum::default();
        self.database()?.scan(Tree::Main, &[], &mut |key, sealed| {
            if key != sum::KEY && !rows.contains_key(key) {
                sum.add(key, sealed);
            }
            Scan::Next
        })?;
        rows.iter()
            .filter_map(|(key, sealed)| Some((key, sealed.as_ref()?)))
            .for_each(|(key, sealed)| sum.add(key, sealed));
        let mut batch: Batch = rows.into_iter().collect();
        let bytes: usize =
            batch.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum();
        self.provide_commit(bytes, Need::Last)?;
        batch.push((sum::KEY.to_vec(), Some(sum.seal(number))));
        self.attempted_sum = sum;
        let database = self.database()?;
        database.apply(batch)?;
        database.commit()?;
        Ok(number)
    }
}
