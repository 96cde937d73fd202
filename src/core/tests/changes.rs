//! Bytes that were valid and are not quite any more.

use proptest::{collection::vec, prelude::*, sample::Index};

/// Valid bytes with some changes, or none; now and then bytes that never were valid.
pub(crate) fn changed(
    valid: impl Strategy<Value = Vec<u8>> + 'static,
) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<Index>(), any::<Index>(), any::<u8>(), 0..8_u8);
    let changed = (valid, vec(change, 0..6)).prop_map(|(mut bytes, changes)| {
        for (at, to, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let (at, to) = (at.index(bytes.len()), to.index(bytes.len()));
            let (from, to) = (at.min(to), at.max(to));
            match how {
                0 => bytes[at] ^= 1 << (byte % 8),
                1 => bytes[at] = byte,
                2 => bytes.truncate(at),
                3 => bytes.insert(at, byte),
                4 => bytes.splice(at..at, [0xff; 9]).for_each(drop),
                5 => bytes.drain(from..to).for_each(drop),
                6 => {
                    let piece = bytes[from..to].to_vec();
                    bytes.splice(at..at, piece).for_each(drop);
                }
                _ => bytes.rotate_left(at),
            }
        }
        bytes
    });
    prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..300)]
}
