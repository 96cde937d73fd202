//! Opens a runner's frame: columns become samples, indices are checked, equal identities are told apart.

use std::{collections::BTreeMap, sync::Arc};

use super::row::Series;
use crate::wire::session::Frame;

/// Tag that tells the instance; on every sample.
pub const INSTANCE_TAG: &str = "instance_id";

/// One sample of an opened frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Index into [`Opened::series`].
    pub series: u32,
    /// Unix time in nanoseconds.
    pub time_ns: i64,
    /// The value.
    pub value: f64,
}

/// A frame whose indices are known to be right.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Series that the samples point to, each once.
    pub series: Vec<Series>,
    /// The samples, in the runner's order.
    pub samples: Vec<Sample>,
    /// Samples whose indices made no sense.
    pub malformed_count: u64,
}

impl Opened {
    /// How many samples each series has.
    pub fn count_by_series(&self) -> Vec<usize> {
        let mut counts = vec![0; self.series.len()];
        for sample in &self.samples {
            let count = usize::try_from(sample.series).ok().and_then(|at| counts.get_mut(at));
            if let Some(count) = count {
                *count += 1;
            }
        }
        counts
    }
}

/// Opens `frame` of the instance `instance_id`.
///
/// Rows of the same series and time would merge in Timestream, so the later of them moves on by a nanosecond, and the
/// same frame always gives the same times.
pub fn open(frame: &Frame, instance_id: u32) -> Opened {
    let columns = [frame.sample_series.len(), frame.time_delta_ns.len(), frame.value.len()];
    let claimed = columns.into_iter().max().unwrap_or(0);
    let mut series = Vec::new();
    let mut places: BTreeMap<Series, u32> = BTreeMap::new();
    let mut canonical: Vec<Option<u32>> = Vec::with_capacity(frame.series.len());
    let strings: Vec<Arc<str>> = frame.strings.iter().map(|text| text.as_str().into()).collect();
    let instance: Arc<str> = instance_id.to_string().into();
    for wire in &frame.series {
        let place = read_series(wire, &strings, &instance).map(|read| {
            *places.entry(read.clone()).or_insert_with(|| {
                series.push(read);
                u32::try_from(series.len() - 1).unwrap_or(u32::MAX)
            })
        });
        canonical.push(place);
    }
    let mut samples = Vec::with_capacity(claimed);
    let mut time_ns = frame.base_time_ns;
    for ((at, delta), value) in
        frame.sample_series.iter().zip(&frame.time_delta_ns).zip(&frame.value)
    {
        time_ns = time_ns.wrapping_add(*delta);
        let place = usize::try_from(*at).ok().and_then(|at| canonical.get(at).copied().flatten());
        if let Some(series) = place {
            samples.push(Sample { series, time_ns, value: *value });
        }
    }
    nudge(&mut samples, series.len());
    let malformed_count = u64::try_from(claimed - samples.len()).unwrap_or(u64::MAX);
    Opened { series, samples, malformed_count }
}

/// The series of a frame, each where the frame has it; none where it makes no sense.
pub(super) fn series_of(frame: &Frame, instance_id: u32) -> Vec<Option<Series>> {
    let strings: Vec<Arc<str>> = frame.strings.iter().map(|text| text.as_str().into()).collect();
    let instance: Arc<str> = instance_id.to_string().into();
    frame.series.iter().map(|wire| read_series(wire, &strings, &instance)).collect()
}

fn read_series(
    wire: &crate::wire::session::Series,
    strings: &[Arc<str>],
    instance: &Arc<str>,
) -> Option<Series> {
    let text = |at: &u32| usize::try_from(*at).ok().and_then(|at| strings.get(at)).cloned();
    let metric = text(&wire.metric).filter(|name| !name.is_empty())?;
    let mut dimensions = BTreeMap::new();
    let pairs = wire.dimensions.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    for pair in pairs {
        let [name, value] = pair else { return None };
        let (name, value) = (text(name)?, text(value)?);
        if !value.is_empty() {
            dimensions.insert(name, value);
        }
    }
    dimensions.entry(INSTANCE_TAG.into()).or_insert_with(|| instance.clone());
    Some(Series { metric, dimensions: dimensions.into_iter().collect() })
}

fn nudge(samples: &mut [Sample], series_count: usize) {
    if is_in_order(samples, series_count) {
        return;
    }
    let mut order: Vec<(u32, i64, usize)> = samples
        .iter()
        .enumerate()
        .map(|(at, sample)| (sample.series, sample.time_ns, at))
        .collect();
    order.sort_unstable();
    let mut before: Option<(u32, i64)> = None;
    for (_, _, at) in order {
        let Some(sample) = samples.get_mut(at) else { continue };
        match before {
            Some((series, time_ns)) if series == sample.series && time_ns >= sample.time_ns => {
                sample.time_ns = time_ns.saturating_add(1);
            }
            Some(_) | None => {}
        }
        before = Some((sample.series, sample.time_ns));
    }
}

/// Whether each series' times rise, as those of most frames do: then no two are equal.
fn is_in_order(samples: &[Sample], series_count: usize) -> bool {
    let mut latest = vec![i64::MIN; series_count];
    samples.iter().all(|sample| {
        let latest = usize::try_from(sample.series).ok().and_then(|at| latest.get_mut(at));
        latest.is_some_and(|latest| std::mem::replace(latest, sample.time_ns) < sample.time_ns)
    })
}

#[cfg(test)]
mod tests;
