//! What the engine, which is replica 0, does about the writers.

use super::Engine;
use crate::{
    core::rally::input::{Input, SessionId},
    io::clock,
    wire::session::{Goodbye, Refused, Welcome, WriterState, to_agent::Message},
};

/// How long writers may take to leave after the goodbye, in milliseconds.
const LEAVE_MS: i64 = 10_000;

impl Engine {
    /// Takes what a writer says.
    pub(super) fn on_writer(&mut self, session: SessionId, state: &WriterState) {
        self.now_ms = clock::unix_ms();
        let news = match self.writers.take(session, state) {
            Ok(news) => news,
            Err(message) => {
                tracing::warn!(replica = state.replica, message, "a writer is refused");
                self.send(session, Message::Refused(Refused { message }));
                self.sessions.remove(&session);
                return;
            }
        };
        if let Some(old) = news.replaced {
            self.sessions.remove(&old);
        }
        if news.opened {
            tracing::info!(replica = state.replica, "a writer dialled");
            self.send(session, Message::Welcome(Welcome {}));
            if let Some(finish) = self.writers.finish_said().cloned() {
                self.send(session, Message::Finish(finish));
            }
            if self.dismissed_ms.is_some() {
                self.send(session, Message::Goodbye(Goodbye {}));
            }
        }
        for tally in &state.tallies {
            self.rally.handle(Input::Tallied(tally.clone()), self.now_ms);
        }
        for (output, why) in news.failed {
            self.tell(Input::OutputFailed(output, why));
        }
        for output in self.ready.clone() {
            self.tell_ready(output);
        }
    }

    /// This process can write to an output: the run may start once all replicas can.
    pub(super) fn output_ready(&mut self, output: usize) {
        self.ready.insert(output);
        self.tell_ready(output);
    }

    fn tell_ready(&mut self, output: usize) {
        if self.writers.are_ready(output) {
            self.ready.remove(&output);
            self.tell(Input::OutputReady(output));
        }
    }

    /// Tells the writers that the load is over, and who is lost.
    pub(super) fn finish_writers(&mut self) {
        if self.rally.is_draining()
            && let Some(finish) = self.writers.finish(self.rally.silent())
        {
            self.tell_writers(&Message::Finish(finish));
        }
    }

    /// Lets the writers go when the run has ended.
    pub(super) fn dismiss_writers(&mut self) {
        // After the agents, which would dial writers that are gone.
        if self.has_ended && self.dismissed_ms.is_none() {
            self.dismissed_ms = Some(self.now_ms);
            self.tell_writers(&Message::Goodbye(Goodbye {}));
        }
    }

    /// Whether no writer is left to hear the goodbye, or none will.
    pub(super) fn writers_have_left(&self) -> bool {
        let since_ms = self.dismissed_ms.unwrap_or(self.now_ms);
        self.writers.sessions().next().is_none() || self.now_ms >= since_ms + LEAVE_MS
    }

    fn tell_writers(&mut self, message: &Message) {
        for session in self.writers.sessions().collect::<Vec<_>>() {
            self.send(session, message.clone());
        }
    }
}
