//! The ledgers of all instances as one. Of each instance the newest snapshot counts, in whatever order they come.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    builtin::builtin,
    cell::Cell,
    codec::{self, Decoded, NoLedger, Received},
    expression::Expression,
    sink::{SinkKey, Tally, TallyKey},
    sketch::Sketch,
    stats::Stats,
    threshold::{Threshold, ThresholdSpec},
    view::{Contains, Kind},
};
use crate::wire::session;

/// Sinks of all instances together: the same script makes the same ones everywhere.
const KNOWN_MAX: usize = 16_384;
/// Groups and checks of all instances together.
const TALLIES_KNOWN_MAX: usize = 32_768;

/// The ledgers of all instances.
#[derive(Debug, Default)]
pub struct Merged {
    pub(super) known: Vec<Known>,
    by_key: BTreeMap<SinkKey, u32>,
    pub(super) tallies: Vec<TallyKey>,
    by_tally: BTreeMap<TallyKey, u32>,
    pub(super) instances: BTreeMap<u32, Instance>,
}

/// What is known of a sink, whichever instances have it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) key: SinkKey,
    pub(super) parent: Option<(String, BTreeMap<String, String>)>,
    pub(super) kind: Option<Kind>,
    pub(super) contains: Contains,
    pub(super) observed: bool,
    pub(super) thresholds: Vec<Threshold>,
    /// Of all instances, where a threshold needs it at any moment.
    pub(super) sketch: Option<Sketch>,
}

/// What is held of an instance.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// When its process began: a later one replaces it whole.
    pub(super) born_unix_ns: i64,
    /// By the sink's index.
    pub(super) held: Vec<Held>,
    pub(super) tallies: BTreeMap<u32, (u64, Tally)>,
    pub(super) overflowed: u64,
    last: Option<Last>,
}

/// The last snapshot of an instance.
#[derive(Debug)]
struct Last {
    seq: u64,
    received: BTreeSet<u32>,
    parts: u32,
}

/// What an instance holds of a sink.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) sink: u32,
    pub(super) seq: u64,
    pub(super) stats: Stats,
    /// By the threshold's index.
    pub(super) cells: Box<[Option<Cell>]>,
    sketch_seq: u64,
    pub(super) sketch: Box<[u8]>,
}

impl Known {
    /// The metric it is, or is a part of.
    pub(super) fn metric(&self) -> &str {
        self.parent.as_ref().map_or(&self.key.name, |(metric, _)| metric)
    }
}

impl Merged {
    /// Takes one message of an instance whose process began at this time.
    ///
    /// # Errors
    /// When it is no ledger; none of its numbers is taken then.
    pub fn take(
        &mut self,
        instance_id: u32,
        born_unix_ns: i64,
        message: session::Ledger,
    ) -> Result<(), NoLedger> {
        self.merge(instance_id, born_unix_ns, codec::decode(message)?)
    }

    /// As [`take`](Self::take), of a message that was read before.
    ///
    /// # Errors
    /// When it contradicts those of other instances; none of its numbers is taken then.
    pub fn merge(
        &mut self,
        instance_id: u32,
        born_unix_ns: i64,
        message: Decoded,
    ) -> Result<(), NoLedger> {
        if self.instances.get(&instance_id).is_some_and(|held| held.born_unix_ns > born_unix_ns) {
            return Ok(());
        }
        // All instances have about the same sinks in about the same order.
        let mut next = 0;
        let mut know = |sink| {
            let taken = self.know(sink, next)?;
            next = taken.0.saturating_add(1);
            Ok(taken)
        };
        let sinks: Vec<_> = message.sinks.into_iter().map(&mut know).collect::<Result<_, _>>()?;
        let tallies = message.tallies.into_iter();
        let tallies: Vec<_> =
            tallies.map(|tally| self.know_tally(tally)).collect::<Result<_, _>>()?;

        let instance = self.instances.entry(instance_id).or_default();
        if instance.born_unix_ns != born_unix_ns {
            for held in std::mem::take(instance).held {
                if let Some(known) = self.known.get_mut(index(held.sink)) {
                    known.exchange(&held.sketch, &[]);
                }
            }
            instance.born_unix_ns = born_unix_ns;
        }
        for (sink, stats, cells, sketch) in sinks {
            let Some(known) = self.known.get_mut(index(sink)) else { continue };
            let held = instance.held(sink);
            if message.seq >= held.seq {
                (held.seq, held.stats, held.cells) = (message.seq, stats, cells);
            }
            if let Some(sketch) = sketch.filter(|_| message.seq >= held.sketch_seq) {
                known.exchange(&held.sketch, &sketch);
                (held.sketch_seq, held.sketch) = (message.seq, sketch);
            }
        }
        for (at, tally) in tallies {
            let held = instance.tallies.entry(at).or_insert((message.seq, tally));
            if message.seq >= held.0 {
                *held = (message.seq, tally);
            }
        }
        instance.overflowed = instance.overflowed.max(message.overflowed);
        if message.last {
            let (seq, parts) = (message.seq, message.parts);
            let new = || Last { seq, received: BTreeSet::new(), parts };
            let last = instance.last.get_or_insert_with(new);
            if seq > last.seq {
                *last = new();
            }
            if seq == last.seq {
                last.received.insert(message.part);
            }
        }
        Ok(())
    }

    /// The sketch of a sink over all instances.
    pub(super) fn sketch(&self, sink: u32) -> Sketch {
        if let Some(Known { sketch: Some(sketch), .. }) = self.known.get(index(sink)) {
            return sketch.clone();
        }
        let mut sketch = Sketch::default();
        for instance in self.instances.values() {
            if let Ok(at) = instance.held.binary_search_by_key(&sink, |held| held.sink) {
                sketch.add_encoded(instance.held.get(at).map_or(&[], |held| &held.sketch));
            }
        }
        sketch
    }

    /// Whether the last snapshot of an instance is there whole.
    pub fn is_complete(&self, instance_id: u32) -> bool {
        let last = self.instances.get(&instance_id).and_then(|instance| instance.last.as_ref());
        last.is_some_and(|last| u32::try_from(last.received.len()) == Ok(last.parts))
    }

    /// The next instances after `after` of which there is a ledger, around the end to the first.
    pub fn instances_after(&self, after: u32, count: usize) -> Vec<u32> {
        let later = self.instances.range(after.saturating_add(1)..);
        let around = later.chain(self.instances.range(..=after));
        around.take(count).map(|(id, _)| *id).collect()
    }

    /// Instances of which there is a ledger.
    pub fn instances(&self) -> usize {
        self.instances.len()
    }

    /// Times that ledgers had no room for a metric, a group or a check: something is missing in the summary.
    pub fn overflowed(&self) -> u64 {
        self.instances.values().map(|instance| instance.overflowed).sum()
    }

    /// Metrics with thresholds that are neither k6's own nor were seen in any sample: misspelt, or never measured.
    pub fn unseen(&self) -> BTreeSet<&str> {
        let judged = self.known.iter().filter(|known| !known.thresholds.is_empty());
        judged.filter(|known| known.kind.is_none()).map(Known::metric).collect()
    }

    /// The sink of what was received, its numbers, and its cells in the order of the sink's thresholds. `guess` is the
    /// sink that it probably is.
    fn know(&mut self, received: Received, guess: u32) -> Result<Taken, NoLedger> {
        let Received { key, parent, kind, contains, observed, stats, thresholds, sketch } =
            received;
        let is_percentile = |spec: &ThresholdSpec| {
            let expression = Expression::parse(&spec.source);
            expression.is_ok_and(|expression| expression.aggregation.share().is_some())
        };
        let is_guessed = self.known.get(index(guess)).is_some_and(|known| known.key == key);
        let found = if is_guessed { Some(guess) } else { self.by_key.get(&key).copied() };
        let at = if let Some(at) = found {
            at
        } else {
            if self.known.len() >= KNOWN_MAX {
                return Err(NoLedger("more metrics than one run has"));
            }
            let at = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
            self.by_key.insert(key.clone(), at);
            let metric = parent.as_ref().map_or(&key.name, |(metric, _)| metric);
            let is_judged = thresholds.iter().any(|(spec, _)| is_percentile(spec));
            self.known.push(Known {
                kind: builtin(metric).map(|(kind, _)| kind),
                key,
                parent,
                contains,
                observed: false,
                thresholds: Vec::new(),
                sketch: is_judged.then(Sketch::default),
            });
            at
        };
        let Some(known) = self.known.get_mut(index(at)) else {
            return Err(NoLedger("more metrics than one run has"));
        };
        // The same script says the same everywhere; should it not, the order of the messages must not matter.
        known.kind = [known.kind, kind].into_iter().flatten().min();
        known.contains = known.contains.max(contains);
        known.observed |= observed;
        let cells = known.align(thresholds)?;
        Ok((at, stats, cells, sketch))
    }

    fn know_tally(&mut self, (key, tally): (TallyKey, Tally)) -> Result<(u32, Tally), NoLedger> {
        if let Some(at) = self.by_tally.get(&key) {
            return Ok((*at, tally));
        }
        if self.tallies.len() >= TALLIES_KNOWN_MAX {
            return Err(NoLedger("more groups and checks than one run has"));
        }
        let at = u32::try_from(self.tallies.len()).unwrap_or(u32::MAX);
        self.tallies.push(key.clone());
        self.by_tally.insert(key, at);
        Ok((at, tally))
    }
}

/// A sink's index, its numbers, its cells, its sketch.
type Taken = (u32, Stats, Box<[Option<Cell>]>, Option<Box<[u8]>>);

impl Known {
    /// Takes the sketch of an instance for the one that it had before.
    fn exchange(&mut self, before: &[u8], after: &[u8]) {
        if let Some(sketch) = &mut self.sketch {
            sketch.remove_encoded(before);
            sketch.add_encoded(after);
        }
    }

    /// Cells in the order of the thresholds, which may become more.
    fn align(
        &mut self,
        received: Vec<(ThresholdSpec, Option<Cell>)>,
    ) -> Result<Box<[Option<Cell>]>, NoLedger> {
        let same = received.len() == self.thresholds.len()
            && received.iter().zip(&self.thresholds).all(|((spec, _), known)| *spec == known.spec);
        if same {
            return Ok(received.into_iter().map(|(_, cell)| cell).collect());
        }
        let mut cells = vec![None; self.thresholds.len()];
        let mut used = BTreeSet::new();
        for (spec, cell) in received {
            let known = self.thresholds.iter().enumerate();
            let mut free = known.filter(|(at, known)| known.spec == spec && !used.contains(at));
            let at = if let Some((at, _)) = free.next() {
                at
            } else {
                let threshold = Threshold::new(&self.key.name, self.metric(), &spec)
                    .map_err(|_| NoLedger("a threshold that is none"))?;
                self.thresholds.push(threshold);
                cells.push(None);
                cells.len() - 1
            };
            used.insert(at);
            if let Some(slot) = cells.get_mut(at) {
                *slot = cell;
            }
        }
        Ok(cells.into_boxed_slice())
    }
}

impl Instance {
    /// Number of the newest snapshot of which something is held.
    pub(super) fn newest_seq(&self) -> u64 {
        let sinks = self.held.iter().map(|held| held.seq.max(held.sketch_seq));
        sinks.chain(self.tallies.values().map(|(seq, _)| *seq)).max().unwrap_or(0)
    }

    fn held(&mut self, sink: u32) -> &mut Held {
        let at = match self.held.binary_search_by_key(&sink, |held| held.sink) {
            Ok(at) => at,
            Err(at) => {
                let empty = Held {
                    sink,
                    seq: 0,
                    stats: Stats::default(),
                    cells: Box::default(),
                    sketch_seq: 0,
                    sketch: Box::default(),
                };
                self.held.insert(at, empty);
                at
            }
        };
        &mut self.held[at]
    }
}

pub(super) fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "halves and whole numbers add up exactly")]
mod tests;
