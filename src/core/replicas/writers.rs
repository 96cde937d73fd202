//! The writers of a run, as replica 0 knows them: which are there, and what they say of the outputs.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    core::rally::input::SessionId,
    wire::{
        PROTOCOL,
        session::{Finish, WriterOutput, WriterState},
    },
};

/// How long a writer that is away is waited for, in milliseconds: what it holds and has settled, it tells when it is back,
/// and one that is not back by then holds nothing any more.
const AWAY_MS: i64 = 15_000;

#[derive(Debug, Default)]
struct Writer {
    session: Option<SessionId>,
    /// Since when it is away; none while it is here, and before it first came to the first aggregator.
    away_since_ms: Option<i64>,
    outputs: Vec<WriterOutput>,
    in_flight: bool,
    /// The last order that it has heard in this session.
    order: u64,
    /// Duplicates that it ignored, by output.
    duplicates: Vec<u64>,
    /// Outputs whose failure was told.
    failed: Vec<usize>,
}

/// All writers of a run.
#[derive(Debug)]
pub struct Writers {
    run: String,
    /// Another aggregator was here before: what writers had ignored by then is in its account.
    is_successor: bool,
    all: BTreeMap<u32, Writer>,
    sessions: BTreeMap<SessionId, u32>,
    /// The last order, once the load is over.
    finish: Option<Finish>,
}

/// What is new of a writer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The session is new.
    pub opened: bool,
    /// The session that it replaces.
    pub replaced: Option<SessionId>,
    /// Outputs that can never be written to, each told once, and why.
    pub failed: Vec<(usize, String)>,
}

impl Writers {
    /// The writers of a run with so many replicas. `is_successor`: another aggregator was here before, whom they told what
    /// this one is yet to hear.
    pub fn new(run: &str, replicas: u32, is_successor: bool, now_ms: i64) -> Self {
        let away_since_ms = is_successor.then_some(now_ms);
        let away = || Writer { away_since_ms, ..Writer::default() };
        let all = (1..replicas).map(|replica| (replica, away())).collect();
        Self { run: run.to_owned(), is_successor, all, sessions: BTreeMap::new(), finish: None }
    }

    /// Takes what a writer says in this session.
    ///
    /// # Errors
    /// Why it cannot be one of this run.
    pub fn take(&mut self, session: SessionId, state: &WriterState) -> Result<News, String> {
        if state.protocol != PROTOCOL {
            return Err(format!(
                "protocol {PROTOCOL} is spoken, not {}: writer and aggregator are of different versions",
                state.protocol
            ));
        }
        if state.run != self.run {
            return Err(format!("this is the aggregator of {}, not {}", self.run, state.run));
        }
        let count = self.all.len();
        let Some(writer) = self.all.get_mut(&state.replica) else {
            return Err(format!("the run has {count} writers, no replica {}", state.replica));
        };
        let mut news = News::default();
        if writer.session != Some(session) {
            news.opened = true;
            news.replaced = writer.session.replace(session);
            news.replaced.map(|old| self.sessions.remove(&old));
            self.sessions.insert(session, state.replica);
            writer.away_since_ms = None;
        }
        writer.duplicates.resize(state.outputs.len(), 0);
        for (at, now) in state.outputs.iter().enumerate() {
            let before = match writer.outputs.get(at) {
                // A new process counts from nothing.
                Some(before) if before.duplicates <= now.duplicates => before.duplicates,
                None if self.is_successor => now.duplicates,
                Some(_) | None => 0,
            };
            if let Some(sum) = writer.duplicates.get_mut(at) {
                *sum = sum.saturating_add(now.duplicates - before);
            }
            if !now.failed.is_empty() && !writer.failed.contains(&at) {
                writer.failed.push(at);
                news.failed.push((at, now.failed.clone()));
            }
        }
        writer.outputs.clone_from(&state.outputs);
        writer.in_flight = state.in_flight;
        writer.order = state.order;
        Ok(news)
    }

    /// A session is over, maybe one of a writer.
    pub fn closed(&mut self, session: SessionId, now_ms: i64) {
        let Some(replica) = self.sessions.remove(&session) else { return };
        if let Some(writer) = self.all.get_mut(&replica) {
            writer.session = None;
            writer.away_since_ms = Some(now_ms);
        }
    }

    /// Sessions of writers.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.keys().copied()
    }

    /// The load is over, and these instances are lost. Answers what all writers that are here must hear now, if anything.
    pub fn finish(&mut self, lost: &BTreeSet<u32>) -> Option<Finish> {
        let before = self.finish.as_ref();
        if before.is_some_and(|before| before.lost.iter().eq(lost)) {
            return None;
        }
        let order = before.map_or(0, |before| before.order).saturating_add(1);
        self.finish = Some(Finish { order, lost: lost.iter().copied().collect() });
        self.finish.clone()
    }

    /// What a writer must hear that has dialled.
    pub const fn finish_said(&self) -> Option<&Finish> {
        self.finish.as_ref()
    }

    /// Whether all writers are here and can write to this output.
    pub fn are_ready(&self, output: usize) -> bool {
        self.all.values().all(|writer| {
            writer.session.is_some() && writer.outputs.get(output).is_some_and(|seen| seen.ready)
        })
    }

    /// What the first writer that has something to complain of says of an output; empty when none has.
    pub fn trouble(&self, output: usize) -> String {
        let mut troubles = self.all.iter().filter_map(|(replica, writer)| {
            if writer.session.is_none() {
                return Some(format!("replica {replica} of the aggregator is not connected"));
            }
            let seen = writer.outputs.get(output)?;
            (!seen.trouble.is_empty()).then(|| format!("{} (replica {replica})", seen.trouble))
        });
        troubles.next().unwrap_or_default()
    }

    /// Whether a writer holds frames, or may: one that is away has not told what came since, nor has one that has not heard
    /// yet which instances are lost. Of all others their agents know more.
    pub fn are_in_flight(&self, now_ms: i64) -> bool {
        self.all.values().any(|writer| match writer.away_since_ms {
            Some(at_ms) => now_ms < at_ms.saturating_add(AWAY_MS),
            None => writer.in_flight || self.is_asked(writer),
        })
    }

    /// A writer that is here has not answered for the instances that are lost.
    fn is_asked(&self, writer: &Writer) -> bool {
        let Some(finish) = &self.finish else { return false };
        !finish.lost.is_empty() && writer.session.is_some() && writer.order < finish.order
    }

    /// Samples that came again to a writer and were not written again.
    pub fn duplicates(&self, output: usize) -> u64 {
        let of = |writer: &Writer| writer.duplicates.get(output).copied().unwrap_or(0);
        self.all.values().map(of).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests;
