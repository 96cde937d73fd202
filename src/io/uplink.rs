//! An endless session: dialled again whenever it is over.

use std::{
    future::pending,
    hash::{BuildHasher, RandomState},
    pin::Pin,
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{
    link::{AgentEnd, DialError, Dialer},
    telemetry,
};
use crate::wire::session::{ToAgent, ToAggregator, to_aggregator::Message};

/// Longest pause before the first dial after a session; doubled for each dial that fails.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// Longest pause between two dials.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Deadline of one dial.
const DIAL: Duration = Duration::from_secs(15);
/// Dials that fail before people are told, and between two times that they are told.
const FAILED_DIALS_TOLD: u32 = 10;

type Dial = Pin<Box<dyn Future<Output = Result<AgentEnd, Undialled>> + Send>>;

/// The way to whoever a dialer leads to.
pub struct Uplink {
    /// Who that is, for people.
    whom: String,
    dialer: Dialer,
    state: State,
    failed_dials: u32,
}

enum State {
    Dialling(Dial),
    Up(AgentEnd),
    Gone,
}

/// Why there is no session.
enum Undialled {
    /// Nobody is there, nor will be.
    Gone,
    /// For people.
    Failed(String),
}

/// What happened on the link.
#[derive(Debug)]
pub enum Event {
    /// A session was dialled.
    Dialled,
    /// The other side said something.
    Received(ToAgent),
    /// There is room for a message.
    Room,
    /// The session is over; the next is being dialled.
    Down,
    /// There is nobody to dial any more. Told once.
    Gone,
}

impl std::fmt::Debug for Uplink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uplink").field("whom", &self.whom).finish_non_exhaustive()
    }
}

impl Uplink {
    /// Dials at once. `whom`: for people.
    pub fn new(whom: String, dialer: Dialer) -> Self {
        let state = State::Dialling(dial(dialer.clone(), Duration::ZERO));
        Self { whom, dialer, state, failed_dials: 0 }
    }

    /// What happens next. `wants_room`: there is a message to send.
    pub async fn next(&mut self, wants_room: bool) -> Event {
        if let State::Dialling(dialling) = &mut self.state {
            match dialling.await {
                Ok(end) => {
                    self.state = State::Up(end);
                    return Event::Dialled;
                }
                Err(Undialled::Gone) => {
                    self.state = State::Gone;
                    return Event::Gone;
                }
                Err(Undialled::Failed(error)) => {
                    self.failed_dials = self.failed_dials.saturating_add(1);
                    let (whom, dials) = (&self.whom, self.failed_dials);
                    if dials.is_multiple_of(FAILED_DIALS_TOLD) {
                        tracing::warn!(error, dials, "{whom} not reached");
                    } else {
                        tracing::debug!(error, "{whom} not reached");
                    }
                    self.redial();
                    return Event::Down;
                }
            }
        }
        let State::Up(AgentEnd { tx, rx }) = &mut self.state else { return pending().await };
        let event = tokio::select! {
            message = rx.recv() => message.map(Event::Received),
            room = tx.reserve(), if wants_room => room.ok().map(|_| Event::Room),
        };
        if event.is_none() {
            self.redial();
        }
        event.unwrap_or(Event::Down)
    }

    /// Sends a message into the room that [`Event::Room`] told of: nobody else sends into this session.
    pub fn send(&self, message: Message) {
        if let State::Up(end) = &self.state {
            // A session that closed in between is noticed by the next wait, and all is sent again in the next one.
            drop(end.tx.try_send(ToAggregator { message: Some(message) }));
        }
    }

    /// This side is welcome: the next dial starts from the shortest pause.
    pub const fn welcomed(&mut self) {
        self.failed_dials = 0;
    }

    /// Gives up the session, if there is one, and dials anew.
    pub fn redial(&mut self) {
        let longest = PAUSE_FIRST.saturating_mul(1 << self.failed_dials.min(10)).min(PAUSE_MAX);
        // Full jitter: those that lost the same session must not come back all at once.
        let share = RandomState::new().hash_one(0_u8) % 1000;
        let pause = longest.mul_f64(f64::from(u32::try_from(share).unwrap_or(0)) / 1000.0);
        self.state = State::Dialling(dial(self.dialer.clone(), pause));
    }
}

fn dial(dialer: Dialer, pause: Duration) -> Dial {
    Box::pin(async move {
        sleep(pause).await;
        match timeout(DIAL, dialer.dial()).await {
            Ok(Ok(end)) => Ok(end),
            Ok(Err(error)) => Err(undialled(&error)),
            Err(_) => Err(Undialled::Failed("no answer in time".to_owned())),
        }
    })
}

fn undialled(error: &DialError) -> Undialled {
    if matches!(error, DialError::Gone) {
        return Undialled::Gone;
    }
    Undialled::Failed(telemetry::chain(error))
}
