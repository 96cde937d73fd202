//! The link between an agent and its aggregator, as a pair of channels: over gRPC in a cluster ([`Dialer::Grpc`],
//! `io::grpc`), or in memory for `weir run`. Both ends see only channels, so there is one code path.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::grpc;
use crate::wire::session::{ToAgent, ToAggregator};

/// Messages buffered in each direction of a session; a full channel holds the sender back.
pub const SESSION_QUEUE: usize = 32;

/// The agent's end of one session. A closed receiver means that the session is over: dial again.
#[derive(Debug)]
pub struct AgentEnd {
    /// Messages to the aggregator.
    pub tx: mpsc::Sender<ToAggregator>,
    /// Messages from the aggregator.
    pub rx: mpsc::Receiver<ToAgent>,
}

/// The aggregator's end of one session.
#[derive(Debug)]
pub struct AggregatorEnd {
    /// Messages to the agent.
    pub tx: mpsc::Sender<ToAgent>,
    /// Messages from the agent.
    pub rx: FromAgent,
}

/// Messages from an agent, read when they are asked for: between this and the network there is no queue of ours, for
/// there is one of these for each of thousands of agents.
pub struct FromAgent(BoxStream<'static, ToAggregator>);

impl FromAgent {
    /// What this stream yields.
    pub fn new(messages: impl futures::Stream<Item = ToAggregator> + Send + 'static) -> Self {
        Self(messages.fuse().boxed())
    }

    /// The next message; none when the session is over.
    pub async fn recv(&mut self) -> Option<ToAggregator> {
        self.0.next().await
    }
}

impl std::fmt::Debug for FromAgent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FromAgent").finish_non_exhaustive()
    }
}

/// How an agent reaches its aggregator.
#[derive(Clone, Debug)]
pub enum Dialer {
    /// In the same process: every dial hands a fresh pair to the aggregator.
    Local(mpsc::Sender<AggregatorEnd>),
    /// Over the network.
    Grpc(Arc<GrpcDialer>),
}

/// Address and credentials of an aggregator.
pub struct GrpcDialer {
    /// Such as `https://checkout-1.default.svc:7465`; each is tried in turn.
    pub endpoints: Vec<String>,
    /// The domain of Services on this cluster, such as `svc.cluster.local`: names in `.svc` are looked up there.
    pub service_domain: Option<String>,
    /// PEM of the certificate authority that signed the aggregator's certificate.
    pub ca_pem: String,
    /// Token that proves an agent of this run.
    pub token: String,
}

impl std::fmt::Debug for GrpcDialer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcDialer").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// Why a dial failed.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The aggregator of this process is gone.
    #[error("the aggregator is gone")]
    Gone,
    /// No connection to the aggregator; it may be starting, or moving.
    #[error("the aggregator cannot be reached: {0}")]
    Unreachable(String),
    /// The aggregator does not take this agent's token for the run's.
    #[error("the aggregator turns this agent away: {0}")]
    Denied(String),
}

impl Dialer {
    /// Opens one session.
    ///
    /// # Errors
    /// When the aggregator cannot be reached; dial again after a pause.
    pub async fn dial(&self) -> Result<AgentEnd, DialError> {
        match self {
            Self::Local(sessions) => {
                let (to_aggregator, from_agent) = mpsc::channel(SESSION_QUEUE);
                let (to_agent, from_aggregator) = mpsc::channel(SESSION_QUEUE);
                let rx = FromAgent::new(ReceiverStream::new(from_agent));
                let end = AggregatorEnd { tx: to_agent, rx };
                sessions.send(end).await.map_err(|_| DialError::Gone)?;
                Ok(AgentEnd { tx: to_aggregator, rx: from_aggregator })
            }
            Self::Grpc(to) => grpc::dial::dial(to).await,
        }
    }
}
