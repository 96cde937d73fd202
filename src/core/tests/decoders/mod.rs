//! Whatever reaches a decoder, from k6, from a disk or from a peer: it is read in bounded memory and without panic, what
//! is valid comes back as it was, and what it leads to is a decision like any other.
//!
//! Here bytes are valid ones with changes; `fuzz` holds the same decoders against bytes that libFuzzer makes up.

mod bounded;
mod checks;
mod field;
mod valid;

use proptest::{collection::vec, prelude::*, sample::select};
use prost::Message;

use super::changes::changed;
use crate::{core::agent::config::Config, wire::session::AgentPhase};

fn frame_bytes() -> impl Strategy<Value = Vec<u8>> {
    (1..20_usize, 0..3_usize, 0..3_usize).prop_map(|(times, at, form)| {
        let frames =
            if form == 0 { valid::measured(times).1 } else { valid::folded(times, form == 1) };
        frames[at.min(frames.len() - 1)].encode_to_vec()
    })
}

/// So many cases, or as many as `PROPTEST_CASES` says.
fn settings(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings(20_000))]

    #[test]
    fn a_line_of_k6(
        line in changed(select(&valid::LINES[..]).prop_map(|line| line.as_bytes().to_vec())),
    ) {
        checks::line(&line);
    }
}

proptest! {
    #![proptest_config(settings(2_000))]

    #[test]
    fn a_frame(bytes in changed(frame_bytes())) {
        checks::frame(&bytes);
    }

    #[test]
    fn a_piece_of_a_spool(
        bytes in changed((0..4_usize, 1..20_usize).prop_map(|(skip, times)| valid::segment(skip == 0, times))),
        is_last: bool,
    ) {
        checks::piece_of_a_spool(&bytes, is_last);
    }

    #[test]
    fn what_agents_say(
        said in vec((0..3_u64, changed(select(valid::ups()))), 1..12),
        phase in select(vec![AgentPhase::Ready, AgentPhase::Running, AgentPhase::Finished]),
    ) {
        checks::agents_say(phase, said);
    }

    #[test]
    fn what_the_aggregator_says(said in vec(changed(select(valid::downs())), 1..12)) {
        checks::the_aggregator_says(Config::plain(2, 2), said);
    }

    #[test]
    fn what_a_former_aggregator_published(
        bytes in changed(any::<bool>().prop_map(|is_over| {
            serde_json::to_vec(&valid::published(is_over)).unwrap()
        })),
    ) {
        checks::published(&bytes);
    }
}
