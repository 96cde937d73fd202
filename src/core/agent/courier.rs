//! What an agent says to the writer of its samples, where that is not the aggregator: a greeting in each session, then
//! frames, and with them now and then which of them were acknowledged. The aggregator hears everything else.

use crate::{
    core::samples::spool::Spool,
    wire::session::{Hello, to_aggregator::Message},
};

/// Frames between two reports: a writer keeps by itself what the agent has not said to be acknowledged.
const REPORT_FRAMES: u32 = 16;

/// Where the session stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// No session.
    #[default]
    Down,
    /// Dialled; the greeting is to be sent.
    Dialled,
    /// Greeted; the writer has not answered.
    Greeted,
    /// Welcomed.
    Up,
}

/// What is to be sent to a writer.
#[derive(Debug)]
pub struct Courier {
    replica: u32,
    stage: Stage,
    /// Frames sent since the writer was told what was acknowledged.
    unreported: u32,
}

impl Courier {
    /// For the writer that is this replica, from 1.
    pub const fn new(replica: u32) -> Self {
        Self { replica, stage: Stage::Down, unreported: 0 }
    }

    /// A session was dialled.
    pub const fn dialled(&mut self) {
        self.stage = Stage::Dialled;
    }

    /// The writer welcomed this agent.
    pub const fn welcomed(&mut self) {
        self.stage = Stage::Up;
    }

    /// The session is over. Answers whether it had been welcomed.
    pub fn down(&mut self) -> bool {
        std::mem::take(&mut self.stage) == Stage::Up
    }

    /// Whether [`next`](Self::next) has something.
    pub fn has_next(&self, spool: &Spool) -> bool {
        match self.stage {
            Stage::Down | Stage::Greeted => false,
            Stage::Dialled => true,
            Stage::Up => spool.has_next(),
        }
    }

    /// The next message. `hello` is what the aggregator would be told; all that is not acknowledged is sent again after it.
    pub fn next(&mut self, hello: impl FnOnce() -> Hello, spool: &mut Spool) -> Option<Message> {
        match self.stage {
            Stage::Down | Stage::Greeted => None,
            Stage::Dialled => {
                self.stage = Stage::Greeted;
                self.unreported = 0;
                spool.rewind();
                // A writer wants to know whose frames come and what it is they have been counted for, and no more.
                let hello = Hello { replica: self.replica, setup_data: None, ..hello() };
                Some(Message::Hello(hello))
            }
            Stage::Up if self.unreported >= REPORT_FRAMES && spool.has_next() => {
                self.unreported = 0;
                hello().report.map(Message::Report)
            }
            Stage::Up => {
                self.unreported += 1;
                spool.next_frame().map(Message::Frame)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::v1alpha1::OnFull,
        core::samples::{
            frame::Closed,
            spool::{Limits, record::SegmentHeader},
        },
        wire::session::{Ack, Frame},
    };

    #[test]
    fn frames_follow_the_welcome_and_come_again_in_the_next_session() {
        let mut spool = Spool::new(Limits::new(1 << 20, OnFull::Fail), SegmentHeader::default());
        for seq in 1..=2 {
            let frame = Frame { seq, value: vec![1.0], ..Frame::default() };
            assert_eq!(spool.push(Closed::new(frame), 0), None);
        }
        let mut courier = Courier::new(2);
        let hello = || Hello { setup_data: Some("{}".into()), ..Hello::default() };
        assert!(!courier.has_next(&spool), "there is no session");
        for left in [vec![1, 2], vec![2]] {
            courier.dialled();
            assert!(courier.has_next(&spool));
            let Some(Message::Hello(said)) = courier.next(hello, &mut spool) else { panic!() };
            assert_eq!((said.replica, said.setup_data), (2, None));
            assert!(!courier.has_next(&spool), "it has not answered");
            assert_eq!(courier.next(hello, &mut spool), None);
            courier.welcomed();
            let mut sent = Vec::new();
            while let Some(Message::Frame(frame)) = courier.next(hello, &mut spool) {
                sent.push(frame.seq);
            }
            assert_eq!(sent, left);
            spool.ack(&Ack { seq: 1, outputs: Vec::new() });
            assert!(courier.down() && !courier.down());
        }
    }
}
