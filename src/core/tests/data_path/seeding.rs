//! What a seed makes of a life before its first step: bounds, faults, outputs and agents. The order in which it is asked counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::DefaultHasher,
};

use super::{Agent, RULE, World};
use crate::{
    api::v1alpha1::{Dimensions, OnFull},
    core::{
        dimensions::Kept,
        pipeline::{lane::LaneConfig, pipeline::Pipeline, shape::Shape},
        samples::{
            frame,
            framer::Framer,
            rollup::spec::{RollupSpec, Wanted},
            spool::{
                self, Spool,
                record::{FORMAT, SegmentHeader},
            },
        },
        tests::{
            dice::Dice,
            disk::{Disk, Faults},
            emitted::{Emitted, Makes},
            table::{Table, Troubles},
        },
    },
};

/// The dimensions of an output's rows: where some are left out, samples that only these told apart share their time.
fn dimensions(dice: &mut Dice) -> Dimensions {
    let names: &[&str] = dice.pick(&[&[], &["vu"], &["vu", "status"]]);
    let names = Some(names.iter().map(|name| (*name).to_owned()).collect());
    let none = Dimensions::default();
    if dice.percent(20) {
        Dimensions { include: names, ..none }
    } else {
        Dimensions { exclude: names, ..none }
    }
}

/// Outputs of all shapes, and what they want of agents.
fn lanes(dice: &mut Dice) -> (Vec<LaneConfig>, Wanted) {
    let mut wanted = Wanted::default();
    let lanes: Vec<LaneConfig> = (0..=dice.below(2_u32))
        .map(|at| {
            let (dimensions, is_rollup) = (dimensions(dice), dice.percent(40));
            if is_rollup {
                let dimensions = Some(dimensions.clone());
                wanted.rollups.push(RollupSpec { output: at, dimensions });
            }
            let of_samples = dice.pick(&[Shape::Records, Shape::Lines]);
            LaneConfig {
                name: format!("output{at}"),
                writes_max: 1 + dice.below(6_usize),
                linger_ms: dice.ms(300),
                kept: Kept::of(Some(&dimensions)),
                shape: if is_rollup { Shape::Rollup } else { of_samples },
            }
        })
        .collect();
    wanted.only = wanted.rollups.len() == lanes.len();
    (lanes, wanted)
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let on_full = dice.pick(&[OnFull::Fail, OnFull::Drop]);
        let limits = spool::Limits {
            bytes_max: 4_000 + dice.below(60_000_u64),
            on_full,
            segment_bytes: 1_000 + dice.below(4_000_u64),
            group_bytes: 300 + dice.below(2_000_u64),
            linger_ms: dice.ms(200),
            queue_bytes: 8_000 + dice.below(20_000_usize),
            window: 1 + dice.below(8_usize),
            window_bytes: 2_000 + dice.below(20_000_usize),
            read_bytes: 100 + dice.below(2_000_u64),
            retry_ms: dice.ms(100),
        };
        let kind = seed % 4;
        let faults = Faults {
            write: if kind == 0 { 0 } else { dice.below(40) },
            read: if kind == 0 { 0 } else { dice.below(40) },
            remove: if kind == 2 { dice.below(20) } else { 0 },
            rot: if kind == 3 { 1 + dice.below(40_u64) } else { 0 },
            capacity: if kind == 1 { 2_000 + dice.below(30_000_usize) } else { usize::MAX },
        };
        let (lanes, wanted) = lanes(&mut dice);
        let of_samples = lanes.iter().filter(|lane| lane.shape != Shape::Rollup);
        let all_kept: Vec<Kept> = of_samples.map(|lane| lane.kept.clone()).collect();
        let made = |lane: &LaneConfig| match lane.shape {
            Shape::Rollup => Makes::Rows(lane.kept.clone()),
            Shape::Records | Shape::Lines => Makes::Samples,
        };
        let made: Vec<_> = lanes.iter().map(|lane| (lane.name.clone(), made(lane))).collect();
        let agents = (1..=1 + dice.below(3_u32)).map(|id| {
            let header = SegmentHeader { format: FORMAT, ..SegmentHeader::default() };
            let size = frame::Limits {
                samples_max: 1 + dice.below(60_usize),
                bytes_max: 4_000,
                linger_ms: 100,
            };
            Agent {
                id,
                incarnation: format!("i{id}").into(),
                is_dead: false,
                emitted: Emitted::new(RULE, made.clone()),
                builder: Framer::new(id, size, all_kept.clone(), &wanted),
                dropped: BTreeSet::new(),
                acked: BTreeSet::new(),
                spool: Spool::new(limits, header),
                disk: Disk::new(faults),
                job: None,
                waiting: BTreeSet::new(),
            }
        });
        let agents = agents.collect();
        let tables = lanes.iter().enumerate().map(|(at, _)| {
            let from_ms = if seed % 6 == 4 && at == 0 { dice.ms(8_000) } else { i64::MAX };
            let to_ms = if dice.percent(50) { i64::MAX } else { from_ms.saturating_add(500) };
            let troubles = Troubles {
                refuses: (from_ms, to_ms),
                throttles: dice.below(60),
                fails: dice.below(40),
                loses_answers: dice.below(30),
                dead: if dice.percent(50) { (2_000, 2_000 + dice.ms(20_000)) } else { (0, 0) },
            };
            Table::new(RULE, troubles)
        });
        let tables = tables.collect();
        Self {
            now_ms: 0,
            agents,
            limits,
            up: Vec::new(),
            down: Vec::new(),
            aggregator: Some(Pipeline::new(lanes.clone())),
            lanes,
            tables,
            failed: BTreeSet::new(),
            under_way: Vec::new(),
            held: BTreeMap::new(),
            held_max: 100 + dice.below(2_000_u64),
            largest: 0,
            only_rows: wanted.only,
            tally: BTreeMap::new(),
            agent_dies: if seed % 5 == 1 { 4 + dice.below(8_u64) } else { 0 },
            aggregator_dies: if seed % 3 == 1 { 1 + dice.below(10_u64) } else { 0 },
            breaks: dice.below(60),
            agent_deaths: 0,
            aggregator_deaths: 0,
            held_back: 0,
            met: BTreeSet::new(),
            steps: 0,
            trace: DefaultHasher::new(),
            dice,
        }
    }
}
