//! The ledger of an instance as an aggregator keeps it on its disk.

use prost::Message;

use super::{
    codec::{
        self, Decoded, NoLedger, Packer, encode_contains, encode_kind, encode_stats, encode_tally,
        encode_threshold,
    },
    merged::{self, Merged},
};
use crate::wire::session;

/// Bytes of the checksum, which comes first.
const CHECK_BYTES: usize = 4;

/// What was kept of an instance.
#[derive(Debug)]
pub struct Kept {
    /// The instance.
    pub instance_id: u32,
    /// When its process began.
    pub born_unix_ns: i64,
    /// It had no session when this was written: it is all that came of it until then.
    pub is_whole: bool,
    /// Its ledger.
    pub parts: Vec<Decoded>,
}

impl Merged {
    /// What is held of an instance, as bytes to keep; none where there is nothing. `is_whole`: see [`Kept`].
    pub fn keep(&self, instance_id: u32, is_whole: bool) -> Option<Vec<u8>> {
        let (born_unix_ns, parts) = self.snapshot(instance_id)?;
        let kept = session::KeptLedger { instance_id, born_unix_ns, whole: is_whole, parts };
        let mut bytes = vec![0; CHECK_BYTES];
        // A vector grows as it must.
        kept.encode(&mut bytes).ok()?;
        let (check, payload) = bytes.split_at_mut(CHECK_BYTES);
        check.copy_from_slice(&crc32c::crc32c(payload).to_le_bytes());
        Some(bytes)
    }

    /// What is held of an instance, as messages that make another hold the same; with the time when its process began.
    fn snapshot(&self, instance_id: u32) -> Option<(i64, Vec<session::Ledger>)> {
        let instance = self.instances.get(&instance_id)?;
        let mut messages = Packer::default();
        for held in &instance.held {
            let Some(known) = self.known.get(merged::index(held.sink)) else { continue };
            let (parent, tags) = known.parent.clone().unwrap_or_default();
            let thresholds = known.thresholds.iter().zip(&held.cells);
            let sink = session::LedgerSink {
                kind: encode_kind(known.kind),
                contains: encode_contains(known.contains),
                parent,
                tags,
                observed: known.observed,
                thresholds: thresholds
                    .map(|(of, cell)| encode_threshold(&of.spec, *cell))
                    .collect(),
                sketch: (!held.sketch.is_empty()).then(|| held.sketch.to_vec().into()),
                ..encode_stats(&known.key, &held.stats)
            };
            messages.fit(sink.encoded_len()).sinks.push(sink);
        }
        for (at, (_, tally)) in &instance.tallies {
            let Some(key) = self.tallies.get(merged::index(*at)) else { continue };
            let tally = encode_tally(key, tally);
            messages.fit(tally.encoded_len()).tallies.push(tally);
        }
        Some((
            instance.born_unix_ns,
            messages.seal(instance.newest_seq(), false, instance.overflowed),
        ))
    }
}

/// Reads what was kept.
///
/// # Errors
/// When it was not written to its end, or damaged since.
pub fn read(bytes: &[u8]) -> Result<Kept, NoLedger> {
    let (check, payload) = bytes.split_first_chunk().ok_or(NoLedger("too short"))?;
    if crc32c::crc32c(payload) != u32::from_le_bytes(*check) {
        return Err(NoLedger("its checksum does not fit"));
    }
    let kept = session::KeptLedger::decode(payload).map_err(|_| NoLedger("not one at all"))?;
    Ok(Kept {
        instance_id: kept.instance_id,
        born_unix_ns: kept.born_unix_ns,
        is_whole: kept.whole,
        parts: kept.parts.into_iter().map(codec::decode).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
