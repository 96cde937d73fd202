//! What the engine tells the world: progress, the outcome, and what outputs complain of.

use super::{Engine, PUBLISH_INTERVAL_MS, WARN_INTERVAL_MS};
use crate::core::rally::input::Input;

impl Engine {
    /// Publishes what has changed, at once when the stage has, else now and then.
    pub(super) fn publish(&mut self) {
        let is_new_stage = self.published_stage != Some(self.rally.stage_count());
        if is_new_stage || self.now_ms >= self.publish_after_ms {
            self.tell_troubles();
            self.publish_now();
        }
    }

    pub(super) fn publish_now(&mut self) {
        self.published_stage = Some(self.rally.stage_count());
        self.publish_after_ms = self.now_ms.saturating_add(PUBLISH_INTERVAL_MS);
        self.data.pipeline.lanes().iter().for_each(|lane| self.meters.set_lane(lane));
        let writers = self.writers.sessions().count();
        self.meters.set_sessions(self.sessions.len().saturating_sub(writers));
        let result = self.result();
        self.publish.send_if_modified(|last| {
            let is_new = *last != result;
            if is_new {
                *last = result;
            }
            is_new
        });
    }

    fn tell_troubles(&mut self) {
        let mut changed = Vec::new();
        for (at, lane) in self.data.pipeline.lanes().iter().enumerate() {
            let told = self.troubles.get(&at).map_or("", String::as_str);
            let now = match lane.last_failure() {
                "" => self.writers.trouble(at),
                own => own.to_owned(),
            };
            if told != now {
                changed.push((at, now, !lane.last_failure().is_empty()));
            }
        }
        for (at, trouble, is_own) in changed {
            if is_own && self.now_ms >= self.warn_after_ms {
                self.warn_after_ms = self.now_ms.saturating_add(WARN_INTERVAL_MS);
                tracing::warn!(output = at, trouble, "writes fail, and are tried again");
            }
            self.troubles.insert(at, trouble.clone());
            self.rally.handle(Input::OutputTrouble(at, trouble), self.now_ms);
        }
    }
}
