//! The ledger of one instance: every sample is folded into what thresholds and summary need of it.

use std::collections::BTreeMap;

use super::{
    builtin::builtin,
    routes::{Route, Routes},
    sink::{Judge, Part, Sink, SinkKey, Tally, TallyKey},
    sketch::Sketch,
    threshold::{Rule, Rules},
    view::{Contains, Kind},
};
use crate::core::samples::decode::{Definition, Point};

/// Sinks of one ledger. The script's metrics are some dozens, times groups and scenarios in the full summary.
pub(super) const SINKS_MAX: usize = 8192;
/// Groups and checks of one ledger.
pub(super) const TALLIES_MAX: usize = 16_384;
/// Bytes of all that names a sink or a tally: metric, group, check, scenario.
pub(super) const NAME_BYTES_MAX: usize = 4096;

/// What one instance measured, since it began.
#[derive(Debug)]
pub struct Ledger {
    /// Whether the full summary's parts are kept: by group and by scenario.
    full: bool,
    pub(super) metrics: Vec<Metric>,
    by_name: BTreeMap<Box<str>, usize>,
    pub(super) sinks: Vec<(SinkOf, Sink)>,
    by_sink: BTreeMap<SinkKey, u32>,
    pub(super) tallies: Vec<(TallyKey, Tally)>,
    by_tally: BTreeMap<TallyKey, u32>,
    routes: Routes,
    key: Vec<u8>,
    pub(super) seq: u64,
    samples: u64,
    refused: u64,
    pub(super) overflowed: u64,
}

/// A metric and its submetrics.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) kind: Option<Kind>,
    pub(super) contains: Contains,
    /// Tags that decide what a sample of it feeds.
    tags: Vec<String>,
    submetrics: Vec<(BTreeMap<String, String>, u32)>,
}

/// What the samples of a series feed that comes again and again. Of one ledger and one series.
#[derive(Debug, Default)]
pub struct Memo(Option<Route>);

/// What a sink is of.
#[derive(Debug)]
pub(super) struct SinkOf {
    pub(super) key: SinkKey,
    /// Its metric.
    pub(super) metric: usize,
    /// Of a submetric: its tags.
    pub(super) tags: Option<BTreeMap<String, String>>,
    /// Whether it is shown even without samples.
    pub(super) observed: bool,
}

impl Ledger {
    /// An empty ledger that keeps what the rules ask for, and, if `full`, what the full summary shows.
    pub fn new(rules: &Rules, full: bool) -> Self {
        let mut ledger = Self {
            full,
            metrics: Vec::new(),
            by_name: BTreeMap::new(),
            sinks: Vec::new(),
            by_sink: BTreeMap::new(),
            tallies: Vec::new(),
            by_tally: BTreeMap::new(),
            routes: Routes::default(),
            key: Vec::new(),
            seq: 0,
            samples: 0,
            refused: 0,
            overflowed: 0,
        };
        rules.list().for_each(|rule| ledger.rule(rule));
        for (name, (kind, contains)) in &rules.defined {
            let (name, kind) = (name.as_str().into(), Some(*kind));
            ledger.define(&Definition { name, kind, contains: *contains });
        }
        ledger
    }

    fn rule(&mut self, rule: &Rule) {
        let Some(metric) = self.metric(&rule.name.metric) else { return };
        let key = SinkKey { name: rule.name.shown(), ..SinkKey::default() };
        let tags = rule.name.suffix.as_ref().map(|_| rule.name.tags.clone());
        let Some(sink) = self.sink(key, metric, tags.clone()) else { return };
        if let Some((of, sink)) = self.sinks.get_mut(index(sink)) {
            of.observed = rule.observed;
            sink.judges = rule.thresholds.iter().map(Judge::new).collect();
        }
        let Some((tags, metric)) = tags.zip(self.metrics.get_mut(metric)) else { return };
        metric.tags.extend(tags.keys().cloned());
        metric.tags.sort();
        metric.tags.dedup();
        metric.submetrics.push((tags, sink));
    }

    /// Takes k6's word on what a metric is. Samples that came before it are not lost.
    pub fn define(&mut self, definition: &Definition<'_>) {
        let Some(metric) = self.metric(&definition.name) else { return };
        let Some(known) = self.metrics.get_mut(metric) else { return };
        known.contains = definition.contains;
        if definition.kind.is_none() || known.kind == definition.kind {
            return;
        }
        known.kind = definition.kind;
        if known.kind != Some(Kind::Trend) {
            let own = self.sinks.iter_mut().filter(|(of, _)| of.metric == metric);
            own.for_each(|(_, sink)| sink.sketch = None);
        }
    }

    /// Takes one sample.
    pub fn add(&mut self, point: &Point<'_>) {
        if !self.counts(point) {
            return;
        }
        let Some(at) = self.place(point) else { return };
        let Some(route) = self.routes.get(at) else { return };
        feed(&mut self.sinks, &mut self.tallies, route, point);
    }

    /// The same for a sample of a series that may come again.
    pub fn add_again(&mut self, point: &Point<'_>, memo: &mut Memo) {
        if !self.counts(point) {
            return;
        }
        if memo.0.is_none() {
            memo.0 = self.place(point).and_then(|at| self.routes.get(at)).cloned();
        }
        let Some(route) = &memo.0 else { return };
        feed(&mut self.sinks, &mut self.tallies, route, point);
    }

    /// Counts a sample; false for one that cannot be folded in.
    const fn counts(&mut self, point: &Point<'_>) -> bool {
        self.samples += 1;
        // k6 cannot write such a value, so a line that has one is not k6's.
        if !point.value.is_finite() {
            self.refused += 1;
            return false;
        }
        true
    }

    /// Where the route of the sample's series stands; none where there is no room for its metric.
    fn place(&mut self, point: &Point<'_>) -> Option<usize> {
        let metric = match self.by_name.get(point.metric.as_ref()) {
            Some(metric) => *metric,
            None => self.metric(&point.metric)?,
        };
        self.set_key(metric, point);
        let found = self.routes.find(&self.key);
        Some(found.unwrap_or_else(|| {
            let route = self.route(metric, point);
            self.routes.keep(&self.key, &route)
        }))
    }

    /// Samples taken.
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Of these, samples without a number as their value, which were not folded in.
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Times that there was no room for a metric, a group or a check, which is then missing in the summary.
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// Series whose place in the cache was taken by another: each costs a look-up when it comes again.
    pub const fn displaced(&self) -> u64 {
        self.routes.displaced()
    }

    /// The key of a series: its metric and those of its tags that matter.
    fn set_key(&mut self, metric: usize, point: &Point<'_>) {
        self.key.clear();
        self.key.extend_from_slice(&metric.to_le_bytes());
        let Some(metric) = self.metrics.get(metric) else { return };
        for (name, value) in &point.tags.0 {
            let Some(at) = metric.tags.iter().position(|tag| tag == name.as_ref()) else {
                continue;
            };
            self.key.extend_from_slice(&at.to_le_bytes()[..2]);
            self.key.extend_from_slice(&value.len().to_le_bytes()[..4]);
            self.key.extend_from_slice(value.as_bytes());
        }
    }

    /// A metric by its name, new if need be; none where there is no room.
    fn metric(&mut self, name: &str) -> Option<usize> {
        if let Some(metric) = self.by_name.get(name) {
            return Some(*metric);
        }
        if self.metrics.len() >= SINKS_MAX || name.len() > NAME_BYTES_MAX {
            self.overflowed += 1;
            return None;
        }
        let (kind, contains) = builtin(name).unzip();
        let mut tags: Vec<&str> = Vec::new();
        if name == "checks" || name == "group_duration" {
            tags.extend(["check", "group"]);
        }
        if self.full {
            tags.extend(["group", "scenario"]);
        }
        self.metrics.push(Metric {
            name: name.to_owned(),
            kind,
            contains: contains.unwrap_or_default(),
            tags: tags.into_iter().map(str::to_owned).collect(),
            submetrics: Vec::new(),
        });
        let at = self.metrics.len() - 1;
        self.by_name.insert(name.into(), at);
        Some(at)
    }

    /// A sink by its key, new if need be; none where there is no room.
    fn sink(
        &mut self,
        key: SinkKey,
        metric: usize,
        tags: Option<BTreeMap<String, String>>,
    ) -> Option<u32> {
        if let Some(sink) = self.by_sink.get(&key) {
            return Some(*sink);
        }
        let at = u32::try_from(self.sinks.len()).ok()?;
        if self.sinks.len() >= SINKS_MAX || key.name_bytes() > NAME_BYTES_MAX {
            self.overflowed += 1;
            return None;
        }
        let kind = self.metrics.get(metric)?.kind;
        let sketch = kind.is_none_or(|kind| kind == Kind::Trend).then(Sketch::default);
        let of = SinkOf { key: key.clone(), metric, tags, observed: false };
        self.sinks.push((of, Sink { sketch, ..Sink::default() }));
        self.by_sink.insert(key, at);
        Some(at)
    }

    fn tally(&mut self, key: TallyKey, time_ns: i64) -> Option<u32> {
        if let Some(tally) = self.by_tally.get(&key) {
            return Some(*tally);
        }
        let at = u32::try_from(self.tallies.len()).ok()?;
        if self.tallies.len() >= TALLIES_MAX || key.name_bytes() > NAME_BYTES_MAX {
            self.overflowed += 1;
            return None;
        }
        let tally = Tally { first_time_ns: time_ns, order: at, ..Tally::default() };
        self.tallies.push((key.clone(), tally));
        self.by_tally.insert(key, at);
        Some(at)
    }

    /// All that a series feeds.
    fn route(&mut self, metric: usize, point: &Point<'_>) -> Route {
        let tag = |name: &str| {
            let found = point.tags.0.iter().find(|(tag, _)| tag == name);
            found.map(|(_, value)| value.as_ref())
        };
        let mut route = Route::default();
        let own = SinkKey { name: point.metric.as_ref().to_owned(), ..SinkKey::default() };
        route.sinks.extend(self.sink(own, metric, None));
        if let Some(metric) = self.metrics.get(metric) {
            let matches = |tags: &BTreeMap<String, String>| {
                tags.iter().all(|(name, value)| tag(name) == Some(value.as_str()))
            };
            let fed = metric.submetrics.iter().filter(|(tags, _)| matches(tags));
            route.sinks.extend(fed.map(|(_, sink)| *sink));
        }
        let is_check = point.metric == "checks";
        let check = if is_check { tag("check").map(str::to_owned) } else { None };
        let mut tallied = Vec::new();
        if is_check || point.metric == "group_duration" {
            // k6 reads a path from its first separator on.
            if let Some(group) = tag("group") {
                let path = group.find("::").and_then(|at| group.get(at..)).unwrap_or_default();
                tallied.push((Part::Run, Some(path.to_owned())));
            }
            tallied.push((Part::Run, None));
        }
        if self.full {
            self.full_route(metric, &mut route, &mut tallied, [tag("scenario"), tag("group")]);
        }
        for (part, group) in tallied {
            let marks = group.as_ref().map(|_| None);
            let counts = check.clone().map(Some);
            for check in [marks, counts].into_iter().flatten() {
                let key = TallyKey { part: part.clone(), group: group.clone(), check };
                route.tallies.extend(self.tally(key, point.time_ns));
            }
        }
        route
    }

    /// What a series feeds of the full summary: its scenario, unless that is `default`, and its group.
    fn full_route(
        &mut self,
        metric: usize,
        route: &mut Route,
        tallied: &mut Vec<(Part, Option<String>)>,
        [scenario, group]: [Option<&str>; 2],
    ) {
        let Some(name) = self.metrics.get(metric).map(|metric| metric.name.clone()) else { return };
        let part = match scenario {
            None | Some("default" | "") => Part::Default,
            Some(scenario) => {
                let part = Part::Scenario(scenario.to_owned());
                let key = SinkKey { part: part.clone(), name: name.clone(), ..SinkKey::default() };
                route.sinks.extend(self.sink(key, metric, None));
                tallied.push((part.clone(), None));
                part
            }
        };
        let group = group.map(|group| group.strip_prefix("::").unwrap_or(group));
        match group {
            None | Some("" | "setup" | "teardown") => {}
            Some(group) => {
                let group = format!("::{group}");
                tallied.push((part.clone(), Some(group.clone())));
                route.sinks.extend(self.sink(SinkKey { part, group, name }, metric, None));
            }
        }
    }
}

fn feed(
    sinks: &mut [(SinkOf, Sink)],
    tallies: &mut [(TallyKey, Tally)],
    route: &Route,
    point: &Point<'_>,
) {
    for sink in &route.sinks {
        if let Some((_, sink)) = sinks.get_mut(index(*sink)) {
            sink.add(point.time_ns, point.value);
        }
    }
    for tally in &route.tallies {
        let Some((key, tally)) = tallies.get_mut(index(*tally)) else { continue };
        tally.first_time_ns = tally.first_time_ns.min(point.time_ns);
        if key.check.is_some() {
            let count = if point.value == 0.0 { &mut tally.fails } else { &mut tally.passes };
            *count += 1;
        }
    }
}

fn index(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "halves and whole numbers add up exactly")]
mod tests;
