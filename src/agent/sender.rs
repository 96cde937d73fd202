//! The session with the writer of this agent's samples, where that is not the aggregator.

use crate::{
    core::{agent::courier::Courier, samples::spool::Spool},
    io::{
        link::Dialer,
        uplink::{Event, Uplink},
    },
    wire::session::{Ack, Hello, ToAgent, to_agent::Message},
};

/// Deadline of the writer's welcome.
const WELCOME_MS: i64 = 10_000;

/// The way of the frames.
#[derive(Debug)]
pub(super) struct Sender {
    replica: u32,
    uplink: Uplink,
    courier: Courier,
    welcome_due_ms: i64,
}

impl Sender {
    pub(super) fn new(replica: u32, dialer: Dialer) -> Self {
        let uplink = Uplink::new(format!("replica {replica} of the aggregator"), dialer);
        Self { replica, uplink, courier: Courier::new(replica), welcome_due_ms: i64::MAX }
    }

    pub(super) fn has_next(&self, spool: &Spool) -> bool {
        self.courier.has_next(spool)
    }

    /// What happens next. `wants_room`: there is a message to send.
    pub(super) async fn next(&mut self, wants_room: bool) -> Event {
        self.uplink.next(wants_room).await
    }

    /// When [`tick`](Self::tick) has something to do; `i64::MAX` for never.
    pub(super) const fn due_ms(&self) -> i64 {
        self.welcome_due_ms
    }

    pub(super) fn tick(&mut self, now_ms: i64) {
        if now_ms >= self.welcome_due_ms {
            tracing::warn!(replica = self.replica, "the writer gave no welcome");
            self.uplink.redial();
            self.down();
        }
    }

    /// Sends what is next into the room that there is.
    pub(super) fn send(&mut self, hello: impl FnOnce() -> Hello, spool: &mut Spool) {
        if let Some(message) = self.courier.next(hello, spool) {
            self.uplink.send(message);
        }
    }

    pub(super) fn dialled(&mut self, now_ms: i64) {
        self.welcome_due_ms = now_ms + WELCOME_MS;
        self.courier.dialled();
    }

    /// Takes a message, and answers the acknowledgement that it is.
    pub(super) fn receive(&mut self, message: ToAgent) -> Option<Ack> {
        match message.message? {
            Message::Welcome(_) => {
                tracing::info!(replica = self.replica, "writer welcomed this agent");
                self.welcome_due_ms = i64::MAX;
                self.courier.welcomed();
                self.uplink.welcomed();
                None
            }
            Message::Ack(ack) => Some(ack),
            // Only the aggregator can dismiss this agent: its samples wait, and it says how long.
            Message::Refused(refused) => {
                let (replica, reason) = (self.replica, refused.message);
                tracing::warn!(replica, reason, "refused by the writer; dialling again");
                None
            }
            _ => None,
        }
    }

    pub(super) fn down(&mut self) {
        self.welcome_due_ms = i64::MAX;
        if self.courier.down() {
            tracing::warn!(
                replica = self.replica,
                "session with the writer is over; dialling again"
            );
        }
    }
}
