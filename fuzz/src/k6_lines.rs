//! Lines of k6 on their way to frames. Each is read twice, by its bytes where its series is known and as JSON: both must
//! say the same, measure the same, and make the same frames. In these no sample is missing, and none shares its row and
//! its time with another, whatever its output leaves out.

use std::{collections::BTreeSet, sync::Arc};

use prost::Message;
use weir::{
    core::{
        dimensions::Kept,
        ledger::{
            codec::Detail,
            ledger::{self, Ledger},
        },
        pipeline::{frame, row::samples_row},
        samples::{
            decode::{DecodeError, Line, Point, decode},
            frame::{Closed, Limits},
            framer::{self, Framer},
            lines::{Known, Lines, Read},
            rollup::{
                samples_in,
                spec::{RollupSpec, Wanted},
            },
        },
    },
    wire::session::Frame,
};

use crate::{bounded::bounded, valid};

/// The first byte of an input says what is wanted of its lines.
const HAS_ROLLUPS: u8 = 1;
const HAS_ONLY_ROLLUPS: u8 = 2;
const HAS_TAGS: u8 = 4;
const LEAVES_OUT: u8 = 8;
const FILLS_FRAMES: u8 = 16;

/// What belongs to a series that is known by its bytes.
#[derive(Debug, Default)]
struct Memo {
    ledger: ledger::Memo,
    frame: framer::Memo,
}

/// What comes of the lines, read in one way.
struct Way {
    ledger: Ledger,
    framer: Framer,
    frames: Vec<Frame>,
}

impl Way {
    fn new(form: u8, kept: &[Kept]) -> Self {
        let has_rollups = form & HAS_ROLLUPS != 0;
        let rollups = [0, 1].map(|output| RollupSpec { output, dimensions: None });
        let wanted = Wanted {
            rollups: rollups.into_iter().filter(|_| has_rollups).collect(),
            only: has_rollups && form & HAS_ONLY_ROLLUPS != 0,
        };
        let samples_max = if form & FILLS_FRAMES == 0 { Limits::default().samples_max } else { 3 };
        let limits = Limits { samples_max, ..Limits::default() };
        Self {
            ledger: Ledger::new(&valid::rules(), true),
            framer: Framer::new(1, limits, kept.iter().cloned(), &wanted),
            frames: Vec::new(),
        }
    }

    fn take(&mut self, line: &Line<'_>, now_ms: i64) {
        match line {
            Line::Metric(definition) => {
                self.framer.define(definition);
                self.ledger.define(definition);
            }
            Line::Point(point) => {
                self.ledger.add(point);
                let closed = self.framer.push(point, now_ms);
                self.keep(closed);
            }
        }
    }

    fn take_known(&mut self, known: &mut Known<Memo>, now_ms: i64) {
        let Known { point, memo } = known;
        self.ledger.add_again(point, &mut memo.ledger);
        let closed = self.framer.push_again(point, &mut memo.frame, now_ms);
        self.keep(closed);
    }

    fn poll(&mut self, now_ms: i64) {
        let closed = self.framer.poll(now_ms);
        self.keep(closed);
    }

    fn end(&mut self) {
        let closed = self.framer.close();
        self.keep(closed);
    }

    fn keep(&mut self, closed: Option<Closed>) {
        self.frames.extend(closed.map(|closed| Arc::unwrap_or_clone(closed.frame)));
    }
}

/// See the module.
pub fn check(bytes: &[u8]) {
    let Some((form, text)) = bytes.split_first() else { return };
    let added = [("scenario", "default"), ("testid", "run")];
    let added: Vec<_> = added.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let added = if form & HAS_TAGS == 0 { &[][..] } else { &added };
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    let all_kept = [Kept::All, Kept::AllBut(names(&["url", "a"])), Kept::Only(names(&["name"]))];
    let kept = if form & LEAVES_OUT == 0 { &all_kept[..1] } else { &all_kept };

    let mut lines = Lines::<Memo>::default();
    let mut by_bytes = Way::new(*form, kept);
    let mut as_json = Way::new(*form, kept);
    let mut samples = Vec::new();
    for (line, now_ms) in text.split(|byte| *byte == b'\n').zip((0..).step_by(100)) {
        let wanted = plain(line, added);
        let found = lines.read(line, added);
        if let Ok(wanted) = &wanted {
            as_json.take(wanted, now_ms);
            samples.extend(sample(wanted));
        }
        match (found, &wanted) {
            (Ok(Read::Known(known)), Ok(Line::Point(wanted))) => {
                same(&known.point, wanted);
                by_bytes.take_known(known, now_ms);
            }
            (Ok(Read::Line(line)), Ok(wanted)) => {
                if let (Line::Point(found), Line::Point(wanted)) = (&line, wanted) {
                    same(found, wanted);
                }
                assert_eq!(line, *wanted);
                by_bytes.take(&line, now_ms);
            }
            (Err(_), Err(_)) => {}
            (found, wanted) => panic!("by its bytes {found:?}, as JSON {wanted:?}"),
        }
        by_bytes.poll(now_ms);
        as_json.poll(now_ms);
    }
    by_bytes.end();
    as_json.end();
    assert!(encoded(&by_bytes.frames) == encoded(&as_json.frames), "other frames");
    let measured = |way: &mut Way| encoded(&way.ledger.snapshot(Detail::Summary, true));
    assert!(measured(&mut by_bytes) == measured(&mut as_json), "another ledger");
    arrives(&by_bytes.frames, &samples, kept);
}

/// Metric and value of a sample.
type Sample = (String, u64);

fn sample(line: &Line<'_>) -> Option<Sample> {
    let Line::Point(point) = line else { return None };
    Some((point.metric.clone().into_owned(), point.value.to_bits()))
}

/// A line as JSON has it, with the tags that a reader adds.
fn plain<'a>(line: &'a [u8], added: &'a [(String, String)]) -> Result<Line<'a>, DecodeError> {
    let mut read = bounded(line, decode)?;
    if let Line::Point(point) = &mut read {
        point.tags.add(added);
    }
    Ok(read)
}

/// Messages as they travel: so what is no number equals itself.
fn encoded<M: Message>(messages: &[M]) -> Vec<Vec<u8>> {
    messages.iter().map(Message::encode_to_vec).collect()
}

fn same(found: &Point<'_>, wanted: &Point<'_>) {
    assert_eq!(found, wanted);
    assert_eq!(found.value.to_bits(), wanted.value.to_bits());
}

/// The frames stand for these samples, and an aggregator finds each where it was sent from.
fn arrives(frames: &[Frame], samples: &[Sample], kept: &[Kept]) {
    assert_eq!(frames.iter().map(samples_in).sum::<u64>(), samples.len() as u64);
    let mut taken = BTreeSet::new();
    let mut found = Vec::new();
    for (seq, frame) in (1..).zip(frames) {
        assert_eq!(frame.seq, seq);
        let opened = frame::open(frame, 1);
        let mut opened = opened.samples.iter().map(|sample| {
            (&opened.series[sample.series as usize], sample.time_ns, sample.value.to_bits())
        });
        let mut time_ns = frame.base_time_ns;
        let columns = frame.sample_series.iter().zip(&frame.time_delta_ns).zip(&frame.value);
        for ((series, delta_ns), value) in columns {
            time_ns += delta_ns;
            let metric = &frame.strings[frame.series[*series as usize].metric as usize];
            found.push((metric.clone(), value.to_bits()));
            if metric.is_empty() {
                continue;
            }
            let (series, opened_ns, bits) = opened.next().expect("each sample is there");
            assert_eq!((opened_ns, bits), (time_ns, value.to_bits()));
            // Behind the last nanosecond there is none that would be free.
            if time_ns < i64::MAX {
                for (at, kept) in kept.iter().enumerate() {
                    // What has no row is refused and counted.
                    let Ok(row) = samples_row(series, kept) else { continue };
                    assert!(taken.insert((at, row, time_ns)), "twice: {series:?} at {time_ns}");
                }
            }
        }
        assert!(opened.next().is_none());
    }
    if !found.is_empty() {
        assert_eq!(found, samples);
    }
}
