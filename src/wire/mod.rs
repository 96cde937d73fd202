//! What agents, aggregator and operator say to each other.
//!
//! Belongs here: the protobuf messages of a session and the result document, as data. May not: any IO, any
//! decision, anything of ours from another folder but `api`.

pub mod result;

/// Messages of a session, generated from `session.proto`.
#[expect(
    missing_docs,
    clippy::pedantic,
    reason = "generated code; the documents stand in session.proto"
)]
pub mod session {
    tonic::include_proto!("weir.v1alpha1");
}

/// Version of the session protocol that this build speaks (`Hello.protocol`).
pub const PROTOCOL: u32 = 3;

/// Largest encoded message either side accepts, in bytes. A frame closes at a quarter of it.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;
