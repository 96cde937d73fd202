//! Leadership by a Lease: who may write. Other processes' clocks are not trusted: a lease counts as expired only when
//! this process has seen it unchanged for as long as it lasts. All times are milliseconds of one monotonic clock.

/// A Lease as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseSeen {
    /// Who holds it; empty when it was released.
    pub holder: String,
    /// How long it lasts after each renewal.
    pub duration_ms: i64,
    /// Whatever changes at each renewal.
    pub version: String,
}

/// What to do about the Lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseAction {
    /// There is none: create it as one's own.
    Create,
    /// It is free or expired: make it one's own.
    Take,
    /// It is one's own: renew it.
    Renew,
    /// Another holds it.
    Leave,
}

/// One process's view of the Lease.
#[derive(Clone, Debug)]
pub struct Elector {
    identity: String,
    duration_ms: i64,
    /// The version seen last, and when it was seen first.
    observed: Option<(String, i64)>,
    /// When the last successful write of this process was sent.
    renewed_ms: Option<i64>,
}

impl Elector {
    /// An elector that has seen nothing. The lease lasts `duration_ms` after each renewal.
    pub fn new(identity: String, duration_ms: i64) -> Self {
        Self { identity, duration_ms, observed: None, renewed_ms: None }
    }

    /// What to do, now that the Lease was found like this.
    pub fn look(&mut self, lease: Option<&LeaseSeen>, now_ms: i64) -> LeaseAction {
        let Some(lease) = lease else { return LeaseAction::Create };
        let since_ms = match &self.observed {
            Some((version, since_ms)) if *version == lease.version => *since_ms,
            _ => {
                self.observed = Some((lease.version.clone(), now_ms));
                now_ms
            }
        };
        if lease.holder == self.identity {
            LeaseAction::Renew
        } else if lease.holder.is_empty() || now_ms - since_ms >= lease.duration_ms {
            LeaseAction::Take
        } else {
            self.renewed_ms = None;
            LeaseAction::Leave
        }
    }

    /// A write that was sent at `sent_ms` made or kept the Lease one's own.
    pub fn wrote(&mut self, sent_ms: i64) {
        self.renewed_ms = Some(sent_ms);
    }

    /// The Lease was given away, or another was faster.
    pub fn lost(&mut self) {
        self.renewed_ms = None;
    }

    /// Until when this process may write: two thirds of the lease after the last renewal, since others may take it
    /// after the whole, and a write under way needs time to arrive.
    pub fn leads_until_ms(&self) -> Option<i64> {
        self.renewed_ms.map(|sent_ms| sent_ms + self.duration_ms * 2 / 3)
    }

    /// Whether this process may write now.
    pub fn leads(&self, now_ms: i64) -> bool {
        self.leads_until_ms().is_some_and(|until_ms| now_ms < until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: &str) -> LeaseSeen {
        LeaseSeen { holder: holder.to_owned(), duration_ms: 9_000, version: version.to_owned() }
    }

    #[test]
    fn a_lease_that_does_not_exist_is_created() {
        assert_eq!(Elector::new("a".to_owned(), 9_000).look(None, 0), LeaseAction::Create);
    }

    #[test]
    fn a_lease_of_another_is_taken_only_after_it_stood_still_for_its_whole_duration() {
        let mut me = Elector::new("a".to_owned(), 9_000);
        assert_eq!(me.look(Some(&lease("b", "1")), 0), LeaseAction::Leave);
        assert_eq!(me.look(Some(&lease("b", "1")), 8_999), LeaseAction::Leave);
        assert_eq!(me.look(Some(&lease("b", "2")), 9_000), LeaseAction::Leave, "it was renewed");
        assert_eq!(me.look(Some(&lease("b", "2")), 17_999), LeaseAction::Leave);
        assert_eq!(me.look(Some(&lease("b", "2")), 18_000), LeaseAction::Take);
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        assert_eq!(
            Elector::new("a".to_owned(), 9_000).look(Some(&lease("", "1")), 0),
            LeaseAction::Take
        );
    }

    #[test]
    fn leadership_ends_before_others_may_take_it() {
        let mut me = Elector::new("a".to_owned(), 9_000);
        assert!(!me.leads(0));
        me.wrote(100);
        assert!(me.leads(6_099));
        assert!(!me.leads(6_100), "a lease of 9 s is the others' at 9,100");
    }

    #[test]
    fn a_leader_that_finds_another_holder_stops_at_once() {
        let mut me = Elector::new("a".to_owned(), 9_000);
        me.wrote(0);
        assert_eq!(me.look(Some(&lease("b", "7")), 1), LeaseAction::Leave);
        assert!(!me.leads(1));
    }
}
