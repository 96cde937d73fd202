//! An output that is a map, and as much trouble as a test wants.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};

use super::*;
use crate::{
    core::pipeline::{
        batch::Batch,
        retry::{Failure, Written},
        row::{Refusal, value_text},
    },
    output::output::Output,
};

type Identity = (Vec<(String, String)>, String, i64);

/// An output that keeps what it is given, and fails now and then.
#[derive(Default)]
pub(super) struct Store {
    pub(super) rows: Mutex<BTreeMap<Identity, String>>,
    pub(super) calls: AtomicU64,
    /// Every so many calls: throttled, cut after the records were stored, refused for one record.
    pub(super) trouble: u64,
    pub(super) fatal_after: Option<u64>,
    pub(super) missing: bool,
}

impl Store {
    fn keep(&self, batch: &Batch, but: Option<usize>) {
        let mut rows = self.rows.lock().unwrap();
        for (at, record) in batch.records.iter().enumerate() {
            if Some(at) == but {
                continue;
            }
            let dimensions = record
                .row
                .dimensions
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect();
            let identity = (dimensions, record.row.measure.to_string(), record.time_ns);
            let value = value_text(record.value, &mut zmij::Buffer::new()).to_owned();
            let before = rows.insert(identity, value.clone());
            assert!(before.is_none_or(|before| before == value), "two samples in one row");
        }
    }
}

impl Output for Store {
    fn probe(&self) -> BoxFuture<'_, Probe> {
        let probe =
            if self.missing { Probe::Failed("no such table".to_owned()) } else { Probe::Ready };
        futures::future::ready(probe).boxed()
    }

    fn write<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Written> {
        async move {
            let call = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
            tokio::time::sleep(Duration::from_millis(2)).await;
            if self.fatal_after.is_some_and(|after| call > after) {
                return Written::Fatal("access denied".to_owned());
            }
            match (self.trouble, call % self.trouble.max(1)) {
                (0, _) => {}
                (_, 1) => return Written::Failed(Failure::Throttled, "slow down".to_owned()),
                (_, 2) => {
                    self.keep(batch, None);
                    return Written::Failed(Failure::Connection, "cut".to_owned());
                }
                (_, 3) => {
                    self.keep(batch, Some(0));
                    return Written::Partly(vec![(0, Refusal::TooOld)]);
                }
                _ => {}
            }
            self.keep(batch, None);
            Written::Stored
        }
        .boxed()
    }
}
