//! The merged ledgers as the summary sees them.

use std::collections::BTreeMap;

use super::{
    merged::{Known, Merged},
    sink::{Part, Tally, TallyKey},
    sketch::Sketch,
    verdict::{Total, compare, kind_of, per_second},
    view::{Check, Group, Judged, Kind, Metric, Trend, Values, View},
};

impl Merged {
    /// All metrics at the end of the test: `duration_ns` from the beginning of setup() to the end of teardown().
    pub fn view(&self, duration_ns: i64) -> View {
        let totals = self.totals(|_| true);
        let kinds = self.kinds();
        let mut view = View { duration_ns, ..View::default() };
        for ((sink, known), total) in (0..).zip(&self.known).zip(&totals) {
            if total.stats.count == 0 && !known.observed {
                continue;
            }
            let kind = kind_of(&kinds, known);
            let sketch = if kind == Kind::Trend { self.sketch(sink) } else { Sketch::default() };
            let metric = metric(known, kind, total, sketch, duration_ns);
            let (group, name) = (known.key.group.clone(), known.key.name.clone());
            let metrics = match &known.key.part {
                Part::Run => &mut view.metrics,
                Part::Default => view.by_group.entry(group).or_default(),
                Part::Scenario(scenario) => {
                    let scenario = view.by_scenario.entry(scenario.clone()).or_default();
                    if group.is_empty() {
                        &mut scenario.metrics
                    } else {
                        scenario.by_group.entry(group).or_default()
                    }
                }
            };
            metrics.insert(name, metric);
        }
        self.show_tallies(&mut view);
        view
    }

    fn show_tallies(&self, view: &mut View) {
        let mut merged: BTreeMap<u32, Tally> = BTreeMap::new();
        for instance in self.instances.values() {
            for (at, (_, tally)) in &instance.tallies {
                merged.entry(*at).and_modify(|sum| sum.merge(tally)).or_insert(*tally);
            }
        }
        let mut tallies: Vec<(&TallyKey, Tally)> = (0..)
            .zip(&self.tallies)
            .filter_map(|(at, key)| Some((key, *merged.get(&at)?)))
            .collect();
        // By time; then as an instance saw them; and never by who said it first.
        tallies.sort_by(|(a, one), (b, two)| {
            (one.first_time_ns, one.order, *a).cmp(&(two.first_time_ns, two.order, *b))
        });
        view.groups.push(Group::default());
        for (key, tally) in tallies {
            let (checks, groups) = match &key.part {
                Part::Run => (&mut view.checks, &mut view.groups),
                Part::Default => (&mut view.checks, &mut view.default_groups),
                Part::Scenario(scenario) => {
                    let scenario = view.by_scenario.entry(scenario.clone()).or_default();
                    (&mut scenario.checks, &mut scenario.groups)
                }
            };
            let checks = match &key.group {
                None => checks,
                Some(path) => &mut group(groups, path).checks,
            };
            if let Some(name) = &key.check {
                let (passes, fails) = (tally.passes, tally.fails);
                checks.push(Check { name: name.clone(), passes, fails });
            }
        }
    }
}

fn group<'a>(groups: &'a mut Vec<Group>, path: &str) -> &'a mut Group {
    let known = groups.iter().position(|group| group.path == path);
    let at = known.unwrap_or_else(|| {
        groups.push(Group { path: path.to_owned(), checks: Vec::new() });
        groups.len() - 1
    });
    &mut groups[at]
}

fn metric(known: &Known, kind: Kind, total: &Total, sketch: Sketch, duration_ns: i64) -> Metric {
    let stats = total.stats;
    let mut exact = Vec::new();
    let judge = |(at, threshold)| {
        let threshold: &super::threshold::Threshold = threshold;
        let compared = compare(known, kind, total, at, threshold, duration_ns);
        if let Some((share, value)) = threshold.expression.aggregation.share().zip(compared.value) {
            exact.push((share, value));
        }
        Judged {
            source: threshold.spec.source.clone(),
            passed: compared.passed,
            value: compared.value,
            abort_on_fail: threshold.spec.abort_on_fail,
            delay_abort_eval: threshold.spec.delay_abort_eval.clone(),
        }
    };
    let thresholds = known.thresholds.iter().enumerate().map(judge).collect();
    let values = match kind {
        Kind::Counter => {
            let count = stats.sum.value();
            Values::Counter { count, rate: per_second(count, duration_ns).unwrap_or(0.0) }
        }
        Kind::Gauge => Values::Gauge { value: stats.last, min: stats.min, max: stats.max },
        Kind::Rate => Values::Rate { trues: stats.trues, total: stats.count },
        Kind::Trend => Values::Trend(Trend::new(stats, sketch, exact)),
    };
    Metric { kind, contains: known.contains, values, thresholds, parent: known.parent.clone() }
}
