//! What must hold of bytes, whoever made them up. Both the properties beside this file and the targets of libFuzzer in
//! `fuzz` hold decoders against it.

use prost::Message;

use super::{
    bounded::bounded,
    field::{Field, claimed},
    valid::{hello, rules},
};
use crate::{
    core::{
        agent::{
            config::Config,
            events::{self, Now},
            machine::Machine,
        },
        ledger::{
            codec::{self, Detail},
            ledger::Ledger,
        },
        pipeline::{frame, pipeline::FrameKey},
        rally::input::{Input, SessionId},
        samples::{
            decode::{Line, decode},
            frame::{FrameBuilder, Limits},
            rollup::samples_in,
            spool::record,
        },
    },
    wire::{
        result::RunResult,
        session::{self, AgentPhase, Frame, ToAgent, ToAggregator, to_aggregator::Message as Up},
    },
};

/// Most that an agent's machine may ask for at once.
const ACTIONS_MAX: usize = 32;

/// A line of k6: what is read of it is measured, travels, and arrives as it was.
pub fn line(line: &[u8]) {
    let Ok(read) = bounded(line, decode) else { return };
    let mut ledger = Ledger::new(&rules(), true);
    let mut builder = FrameBuilder::new(1, Limits::default());
    match read {
        Line::Metric(definition) => ledger.define(&definition),
        Line::Point(point) => {
            ledger.add(&point);
            assert!(builder.push(&point, 0).is_none());
            let closed = builder.close().unwrap();
            let opened = frame::open(&closed.frame, 1);
            // k6 has no metric without a name, and a row has none: such a sample is counted as refused.
            let rows = usize::from(!point.metric.is_empty());
            let refused = u64::from(point.metric.is_empty());
            assert_eq!((opened.samples.len(), opened.malformed_count), (rows, refused));
            if let Some(sample) = opened.samples.first() {
                assert_eq!(sample.value.to_bits(), point.value.to_bits());
                assert_eq!(sample.time_ns, point.time_ns);
            }
        }
    }
    drop(ledger.snapshot(Detail::Summary, true));
}

/// A frame: each sample that it may mean to have is stored or refused by each output.
pub fn frame(bytes: &[u8]) {
    let Some(frame) = opened(bytes) else { return };
    let mut field = Field::new(None);
    let key = FrameKey { instance_id: 1, incarnation: "i".into(), seq: frame.seq };
    field.pipeline.accept(key, &frame, 0);
    field.store();
    for lane in field.pipeline.lanes() {
        let counts = lane.counts();
        assert_eq!(counts.stored + counts.rejected, samples_in(&frame).max(claimed(&frame)));
    }
}

/// A frame, of which each sample that it may mean to have is found or counted; none where it is no frame.
pub fn opened(bytes: &[u8]) -> Option<Frame> {
    let (frame, opened) = bounded(bytes, |bytes| {
        let frame = Frame::decode(bytes).ok()?;
        let opened = frame::open(&frame, 1);
        Some((frame, opened))
    })?;
    assert_eq!(opened.samples.len() as u64 + opened.malformed_count, claimed(&frame));
    same_again(&frame);
    Some(frame)
}

/// A piece of a spool, with or without something behind it.
pub fn piece_of_a_spool(bytes: &[u8], is_last: bool) {
    let chunk = bounded(bytes, |bytes| record::chunk(bytes, is_last));
    assert!(chunk.bytes <= bytes.len() as u64);
    drop(bounded(bytes, record::head));
}

/// What agents and writers say, by session, to an aggregator whose two agents have come so far: it decides, and its run
/// ends.
pub fn agents_say(phase: AgentPhase, said: impl IntoIterator<Item = (u64, Vec<u8>)>) {
    let mut field = Field::with_agents(phase);
    field.tell(Input::OutputReady(0));
    for (session, bytes) in said {
        let read = bounded(&bytes, ToAggregator::decode);
        let Ok(ToAggregator { message: Some(up) }) = read else { continue };
        same_again(&ToAggregator { message: Some(up.clone()) });
        if let Up::Ledger(ledger) = &up {
            let bytes = ledger.encode_to_vec();
            drop(bounded(&bytes, |bytes| codec::decode(session::Ledger::decode(bytes).unwrap())));
        }
        field.take(SessionId(session), up);
        field.now_ms += 500;
    }
    field.end();
}

/// What the aggregator says to an agent: it decides, and asks for a handful of things each time.
pub fn the_aggregator_says(config: Config, said: impl IntoIterator<Item = Vec<u8>>) {
    let mut now = Now { ms: 0, unix_ns: 1, drained: true };
    let mut machine = Machine::new(config, now);
    let mut tell = |input, now| {
        let actions = machine.handle(input, now);
        assert!(actions.len() <= ACTIONS_MAX, "too much at once: {actions:?}");
    };
    tell(events::Input::SessionUp, now);
    for bytes in said {
        let read = bounded(&bytes, ToAgent::decode);
        let Ok(ToAgent { message: Some(down) }) = read else { continue };
        same_again(&ToAgent { message: Some(down.clone()) });
        tell(events::Input::Message(down), now);
        now = Now { ms: now.ms + 500, unix_ns: now.unix_ns + 500_000_000, drained: true };
        tell(events::Input::Tick, now);
    }
}

/// What a former aggregator has published: the next one goes on from there, and the run ends.
pub fn published(bytes: &[u8]) {
    let read = bounded(bytes, serde_json::from_slice::<RunResult>);
    let Ok(former) = read else { return };
    let mut field = Field::new(Some(former));
    field.take(SessionId(1), hello(1, AgentPhase::Running));
    if field.rally.result().outcome.is_none() {
        field.end();
    }
}

/// A message is the same after another journey.
fn same_again<M: Message + Default>(message: &M) {
    let bytes = message.encode_to_vec();
    let again = M::decode(bytes.as_slice()).unwrap();
    assert_eq!(again.encode_to_vec(), bytes);
}
