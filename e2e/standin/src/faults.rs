//! Faults that the stand-in plays on request, from a seeded generator, so that runs repeat.

use clap::Args;
use serde::{Deserialize, Serialize};

/// Which faults to play. Percentages are of the API's calls.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// Wait this long before handling a call
    #[arg(long, default_value_t = 0)]
    pub(crate) latency_ms: u64,
    /// Percentage of calls answered with 429 `ThrottlingException`
    #[arg(long, default_value_t = 0.0)]
    pub(crate) throttle_percent: f64,
    /// Percentage of calls answered with 500 `InternalServerException`
    #[arg(long, default_value_t = 0.0)]
    pub(crate) fail_percent: f64,
    /// Percentage of calls whose connection is closed without an answer, nothing applied
    #[arg(long, default_value_t = 0.0)]
    pub(crate) cut_percent: f64,
    /// Percentage of calls that are applied and whose connection is then closed without an answer
    #[arg(long, default_value_t = 0.0)]
    pub(crate) cut_after_apply_percent: f64,
    /// Answer all calls with 403 `AccessDeniedException`
    #[arg(long)]
    pub(crate) deny: bool,
    /// Answer all calls with 421 `InvalidEndpointException`
    #[arg(long)]
    pub(crate) invalid_endpoint: bool,
    /// Until this time (milliseconds since the epoch) close the connection of every call
    #[arg(long, default_value_t = 0)]
    pub(crate) down_until: i64,
    /// The same for this long from the start (or from the PUT)
    #[arg(long, default_value_t = 0)]
    pub(crate) down_ms: i64,
    /// Seed of the generator
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
}

/// What to do to one call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) latency_ms: u64,
    pub(crate) is_down: bool,
    pub(crate) is_cut: bool,
    pub(crate) is_denied: bool,
    pub(crate) is_invalid_endpoint: bool,
    pub(crate) is_throttled: bool,
    pub(crate) is_failed: bool,
    pub(crate) is_cut_after_apply: bool,
}

/// The faults in force and the generator's state.
#[derive(Debug, Default)]
pub(crate) struct Faulty {
    faults: Faults,
    state: u64,
}

impl Faulty {
    /// Puts `faults` in force; the generator starts again from their seed.
    pub(crate) fn set(&mut self, mut faults: Faults, now_ms: i64) -> Result<(), String> {
        let percents = [
            faults.throttle_percent,
            faults.fail_percent,
            faults.cut_percent,
            faults.cut_after_apply_percent,
        ];
        if percents.iter().any(|percent| !(0.0..=100.0).contains(percent)) {
            return Err("percentages must lie between 0 and 100".to_owned());
        }
        if faults.down_ms > 0 {
            faults.down_until = faults.down_until.max(now_ms.saturating_add(faults.down_ms));
            faults.down_ms = 0;
        }
        self.state = faults.seed;
        self.faults = faults;
        Ok(())
    }

    /// The faults in force.
    pub(crate) fn get(&self) -> &Faults {
        &self.faults
    }

    /// Decides about the next call. Each decision has its own draw, made or not, so that a change
    /// of one percentage leaves the others' calls the same.
    pub(crate) fn plan(&mut self, now_ms: i64) -> Plan {
        let [throttle, fail, before, after] = [(); 4].map(|()| self.draw_percent());
        let faults = &self.faults;
        Plan {
            latency_ms: faults.latency_ms,
            is_down: now_ms < faults.down_until,
            is_cut: before < faults.cut_percent,
            is_denied: faults.deny,
            is_invalid_endpoint: faults.invalid_endpoint,
            is_throttled: throttle < faults.throttle_percent,
            is_failed: fail < faults.fail_percent,
            is_cut_after_apply: after < faults.cut_after_apply_percent,
        }
    }

    /// A number from 0 up to, but not, 100 (the splitmix64 generator).
    fn draw_percent(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let high = u32::try_from(bits >> 32).unwrap_or_default();
        f64::from(high) / 4_294_967_296.0 * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(faults: &Faults) -> Vec<Plan> {
        let mut player = Faulty::default();
        player.set(faults.clone(), 0).expect("good faults");
        (0..2000).map(|_| player.plan(0)).collect()
    }

    #[test]
    fn the_same_seed_plays_the_same_faults_and_percentages_do_not_disturb_each_other() {
        let faults = Faults { throttle_percent: 20.0, fail_percent: 5.0, ..Faults::default() };
        let first = plans(&faults);
        assert_eq!(first, plans(&faults));
        assert_ne!(first, plans(&Faults { seed: 1, ..faults.clone() }));
        let throttled = |plans: &[Plan]| plans.iter().map(|p| p.is_throttled).collect::<Vec<_>>();
        let other = plans(&Faults { fail_percent: 50.0, ..faults });
        assert_eq!(throttled(&first), throttled(&other));
        let count = first.iter().filter(|plan| plan.is_throttled).count();
        assert!((330..470).contains(&count), "{count} of 2000 at 20 %");
    }

    #[test]
    fn zero_is_never_and_a_hundred_always() {
        assert!(plans(&Faults::default()).iter().all(|plan| *plan == Plan::default()));
        let all = Faults { cut_percent: 100.0, ..Faults::default() };
        assert!(plans(&all).iter().all(|plan| plan.is_cut));
        let mut player = Faulty::default();
        let bad = Faults { cut_percent: 101.0, ..Faults::default() };
        assert!(player.set(bad, 0).is_err());
        let bad = Faults { fail_percent: f64::NAN, ..Faults::default() };
        assert!(player.set(bad, 0).is_err());
    }

    #[test]
    fn down_ends() {
        let mut player = Faulty::default();
        player.set(Faults { down_ms: 500, ..Faults::default() }, 1000).expect("good faults");
        assert!(player.plan(1499).is_down);
        assert!(!player.plan(1500).is_down);
    }
}
