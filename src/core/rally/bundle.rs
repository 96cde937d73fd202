//! The bundle on its way through the aggregator: from the instance that made it to all others, part by part.

use std::collections::BTreeSet;

use super::{cause, input::SessionId, rally::Rally};
use crate::{
    api::v1alpha1::Reason,
    core::{agent::bundling::ARCHIVIST, bundle::Progress},
    wire::session::{BundlePart, SendBundle, to_agent::Message},
};

impl Rally {
    /// An agent wants a part: now, or as soon as there is one.
    pub(super) fn bundle_wanted(&mut self, session: SessionId, offset: u64) {
        let Some(id) = self.roster.of_session(session) else { return };
        if let Some(bundle) = &self.bundle {
            let part = bundle.part(offset);
            self.send(id, Message::Bundle(part));
            return;
        }
        let is_first = self.bundle_wanted.is_empty();
        self.bundle_wanted.insert(session, offset);
        if is_first {
            self.ask_for_bundle();
        }
    }

    /// Asks the instance that makes the bundle for its next part, if anyone waits for it.
    pub(super) fn ask_for_bundle(&mut self) {
        if self.bundle.is_none() && !self.bundle_wanted.is_empty() {
            let offset = self.assembly.wanted();
            self.send(ARCHIVIST, Message::SendBundle(SendBundle { offset }));
        }
    }

    pub(super) fn bundle_sent(&mut self, session: SessionId, part: &BundlePart) {
        if self.roster.of_session(session) != Some(ARCHIVIST) || self.bundle.is_some() {
            return;
        }
        let before = self.assembly.wanted();
        match self.assembly.take(part) {
            Ok(Progress::Want(offset)) if offset == before && part.offset != 0 => {}
            Ok(Progress::Want(offset)) => {
                self.send(ARCHIVIST, Message::SendBundle(SendBundle { offset }));
            }
            Ok(Progress::Whole(bundle)) => {
                self.bundle = Some(bundle);
                for (session, offset) in std::mem::take(&mut self.bundle_wanted) {
                    self.bundle_wanted(session, offset);
                }
            }
            Err(error) => self.blame(cause::outcome(Reason::ScriptFailed, error.to_string())),
        }
    }

    /// All are ready: they must be so for one and the same test.
    pub(super) fn check_bundles(&mut self) {
        let digests: BTreeSet<_> =
            self.roster.iter().map(|(_, runner)| &runner.report.bundle_sha256).collect();
        if digests.len() > 1 {
            let message = "instances have different scripts: the script changed while the run was being prepared, \
                           and the pod of instance 1 was replaced; start the run again";
            self.blame(cause::outcome(Reason::ScriptFailed, message));
        }
    }
}
