//! What a series feeds, looked up once. Of a high number of series only as many are kept as there is room for.

/// Room for this many routes.
const ROUTES: usize = 4096;

/// What the samples of a series feed, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Sinks.
    pub sinks: Vec<u32>,
    /// Tallies: groups that the samples show, and checks that they count for.
    pub tallies: Vec<u32>,
}

/// Routes by the series' key. The memory of a route that must go is used again.
#[derive(Debug, Default)]
pub struct Routes {
    slots: Vec<Slot>,
    displaced: u64,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    hash: u64,
    /// Empty where the slot is free: every key has the metric at least.
    key: Vec<u8>,
    route: Route,
}

impl Routes {
    /// Where the route of a series stands, if it is kept.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        let hash = hash(key);
        let is_own = |slot: &Slot| slot.hash == hash && slot.key == key;
        places(hash).find(|at| self.slots.get(*at).is_some_and(is_own))
    }

    /// A route by where it stands.
    pub fn get(&self, at: usize) -> Option<&Route> {
        self.slots.get(at).map(|slot| &slot.route)
    }

    /// Keeps the route of a series that was not found; answers where it stands.
    pub fn keep(&mut self, key: &[u8], route: &Route) -> usize {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); ROUTES];
        }
        let hash = hash(key);
        let free = places(hash).find(|at| self.slots.get(*at).is_some_and(|s| s.key.is_empty()));
        // One of two, by a bit that did not choose them.
        let usual = if hash >> 63 == 0 { places(hash).next() } else { places(hash).last() };
        let at = free.or(usual).unwrap_or(0);
        self.displaced += u64::from(free.is_none());
        if let Some(slot) = self.slots.get_mut(at) {
            slot.hash = hash;
            slot.key.clear();
            slot.key.extend_from_slice(key);
            slot.route.sinks.clone_from(&route.sinks);
            slot.route.tallies.clone_from(&route.tallies);
        }
        at
    }

    /// Routes that had to go for others: each costs a look-up when its series comes again.
    pub const fn displaced(&self) -> u64 {
        self.displaced
    }
}

/// Where a route may stand.
fn places(hash: u64) -> impl Iterator<Item = usize> {
    [hash, hash >> 32].into_iter().map(|bits| usize::try_from(bits & 0xffff).unwrap_or(0) % ROUTES)
}

/// Eight bytes at a time; the same in every process.
fn hash(key: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = 0_u64;
    let mut words = key.chunks_exact(8);
    for word in &mut words {
        let word = word.try_into().map_or(0, u64::from_le_bytes);
        hash = (hash.rotate_left(26) ^ word).wrapping_mul(FACTOR);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(words.remainder()) {
        *to = *from;
    }
    hash = (hash.rotate_left(26) ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    hash ^ hash >> 29
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(n: u32) -> Route {
        Route { sinks: vec![n, n + 1], tallies: vec![n] }
    }

    fn found(routes: &Routes, key: &[u8]) -> Option<Route> {
        routes.get(routes.find(key)?).cloned()
    }

    #[test]
    fn a_route_is_found_by_its_key_only() {
        let mut routes = Routes::default();
        assert_eq!(found(&routes, b"a"), None);
        routes.keep(b"a", &route(1));
        let at = routes.keep(b"abcdefghi", &route(2));
        assert_eq!(routes.get(at), Some(&route(2)));
        assert_eq!(found(&routes, b"a"), Some(route(1)));
        assert_eq!(found(&routes, b"abcdefghi"), Some(route(2)));
        assert_eq!(found(&routes, b"b"), None);
    }

    #[test]
    fn more_series_than_there_is_room_for_displace_each_other_and_are_counted() {
        let mut routes = Routes::default();
        let series = u32::try_from(ROUTES * 4).unwrap();
        for n in 0..series {
            routes.keep(&n.to_le_bytes(), &route(n));
            assert_eq!(
                found(&routes, &n.to_le_bytes()),
                Some(route(n)),
                "the last is always there"
            );
        }
        let kept = (0..series).filter(|n| found(&routes, &n.to_le_bytes()) == Some(route(*n)));
        let kept = u64::try_from(kept.count()).unwrap();
        assert!(kept > u64::try_from(ROUTES).unwrap() * 3 / 4, "{kept} of {ROUTES}");
        assert_eq!(kept + routes.displaced(), u64::from(series));
    }
}
