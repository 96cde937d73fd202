use super::*;

const OUTPUT: &str = "timestream";

fn stored(samples: u64) -> Vec<OutputCounts> {
    vec![OutputCounts { name: OUTPUT.to_owned(), stored: samples, ..OutputCounts::default() }]
}

/// Frame `seq` has `seq` samples: what is summed up tells which frames there are.
fn settle(settled: &mut Settled, frames: &[u64]) {
    for seq in frames {
        settled.settle(*seq, *seq, &stored(*seq));
    }
}

fn report(acked_to: u64, acked_but: &[u64]) -> Report {
    let acked = (1..=acked_to).filter(|seq| !acked_but.contains(seq)).sum();
    let acked_but = acked_but.to_vec();
    Report { acked, acked_to, acked_but, outputs: stored(acked), ..Report::default() }
}

fn sum(settled: &Settled) -> u64 {
    let sum = settled.sum();
    assert_eq!(sum.samples, sum.outputs.get(OUTPUT).map_or(0, |own| own.stored));
    sum.samples
}

#[test]
fn of_two_writers_that_knew_different_frames_each_frame_counts_once() {
    // The first settled 1 to 10, of whose acknowledgements the agent heard five. The second, killed too, settled three of
    // those that came again and one more.
    let (mut first, mut second) = (Settled::default(), Settled::default());
    settle(&mut first, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    second.take_report(&report(10, &[6, 7, 8, 9, 10]));
    settle(&mut second, &[8, 9, 11]);
    let all = (1..=11).sum::<u64>();
    let tallies = [first, second].map(|own| own.tally(&own.frames().collect()));
    for order in [[0, 1], [1, 0]] {
        let mut settled = Settled::default();
        for at in order.iter().chain(&order) {
            settled.take_tally(&tallies[*at]);
        }
        assert_eq!(sum(&settled), all, "what comes again counts no more");
        let mut next = Settled::default();
        next.take(settled.known());
        assert_eq!(next, settled);
    }
}

#[test]
fn frames_are_known_one_by_one_until_the_agent_says_that_they_were_acknowledged() {
    let mut settled = Settled::default();
    settle(&mut settled, &[3, 1, 5]);
    settled.take_report(&report(4, &[2, 4]));
    assert_eq!((sum(&settled), settled.frames().collect::<Vec<_>>()), (9, vec![5]));
    assert!(!settled.settle(3, 3, &stored(3)), "it is one of the acknowledged");
    assert!(settled.settle(2, 2, &stored(2)));
    settled.take_report(&report(3, &[2, 3]));
    assert_eq!(sum(&settled), 11, "a word that comes late changes nothing");
    settled.take_report(&report(6, &[4]));
    assert_eq!((sum(&settled), settled.frames().count()), (17, 0));
}
