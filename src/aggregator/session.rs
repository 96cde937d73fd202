//! One agent's session: two loops that only forward. What is not read in time ends the session; the agent dials again and
//! is told everything anew.

use std::{sync::Arc, time::Duration};

use prost::Message as _;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    core::{
        ledger::codec::{self, Decoded, NoLedger},
        rally::input::SessionId,
    },
    io::link::{AggregatorEnd, FromAgent},
    wire::session::{Frame, Hello, ToAgent, to_agent, to_aggregator},
};

/// Samples (or what takes as much memory) that may be held; while there are more, agents are not read from.
pub(super) const HELD_MAX: u32 = 1 << 20;
/// What a sample takes in memory, roughly: a frame of few samples and long strings counts by its size.
const SAMPLE_BYTES: usize = 16;
/// Messages that may wait for an agent to read them.
const OUTBOX_MAX: usize = 4096;
/// How long an agent may take to say who it is, and to read one message.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes from a session.
#[derive(Debug)]
pub(super) enum SessionEvent {
    Hello(Hello),
    Message(to_aggregator::Message),
    /// A frame that takes so much of [`HELD_MAX`].
    Frame(Frame, u32),
    /// A ledger, read here and not in the engine: sessions run on all processors, the engine on one.
    Ledger(Result<Decoded, NoLedger>),
    Closed,
}

/// The way to an agent. Dropping it ends the session once what is in it was read.
#[derive(Debug)]
pub(super) struct SessionHandle {
    outbox: mpsc::Sender<ToAgent>,
}

impl SessionHandle {
    /// Puts a message on its way, or tells that the agent does not read.
    pub(super) fn send(&self, message: to_agent::Message) -> bool {
        self.outbox.try_send(ToAgent { message: Some(message) }).is_ok()
    }
}

/// Forwards between `end` and the engine until either is gone.
pub(super) fn spawn(
    id: SessionId,
    end: AggregatorEnd,
    events: mpsc::Sender<(SessionId, SessionEvent)>,
    held: Arc<Semaphore>,
) -> SessionHandle {
    let (outbox, mut letters) = mpsc::channel::<ToAgent>(OUTBOX_MAX);
    let AggregatorEnd { tx, mut rx } = end;
    tokio::spawn(async move {
        let write = async {
            while let Some(letter) = letters.recv().await {
                if !matches!(tokio::time::timeout(PATIENCE, tx.send(letter)).await, Ok(Ok(()))) {
                    break;
                }
            }
        };
        tokio::select! {
            () = write => {}
            () = read(id, &mut rx, &events, &held) => {}
        }
        // The engine may be gone, and then nobody wants to know.
        drop(events.send((id, SessionEvent::Closed)).await);
    });
    SessionHandle { outbox }
}

async fn read(
    id: SessionId,
    rx: &mut FromAgent,
    events: &mpsc::Sender<(SessionId, SessionEvent)>,
    held: &Semaphore,
) {
    let first = tokio::time::timeout(PATIENCE, rx.recv()).await.ok().flatten();
    let first = match first.and_then(|first| first.message) {
        Some(to_aggregator::Message::Hello(hello)) => SessionEvent::Hello(hello),
        Some(writer @ to_aggregator::Message::Writer(_)) => SessionEvent::Message(writer),
        _ => return,
    };
    if events.send((id, first)).await.is_err() {
        return;
    }
    while let Some(message) = rx.recv().await {
        let event = match message.message {
            Some(to_aggregator::Message::Frame(frame)) => {
                let cost = cost(&frame);
                match held.acquire_many(cost).await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return,
                }
                SessionEvent::Frame(frame, cost)
            }
            Some(to_aggregator::Message::Ledger(ledger)) => {
                SessionEvent::Ledger(codec::decode(ledger))
            }
            Some(to_aggregator::Message::Hello(_)) | None => return,
            Some(other) => SessionEvent::Message(other),
        };
        if events.send((id, event)).await.is_err() {
            return;
        }
    }
}

fn cost(frame: &Frame) -> u32 {
    let weight = frame.value.len().max(frame.encoded_len() / SAMPLE_BYTES);
    u32::try_from(weight).unwrap_or(u32::MAX).clamp(1, HELD_MAX)
}
