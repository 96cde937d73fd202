//! How many samples a frame stands for, and what its rows weigh.

use crate::wire::session::{Frame, Rollup};

/// Most samples that a frame is believed to stand for: none can hold more of a few seconds.
const SAMPLES_MAX: u64 = 1 << 32;
/// Memory of a row besides its histogram, in bytes.
const ROW_MEMORY: usize = 96;

/// Samples that a frame stands for: every account counts these.
pub fn samples_in(frame: &Frame) -> u64 {
    let columns = frame.value.len() as u64;
    if frame.rollups.is_empty() { columns } else { frame.samples.min(SAMPLES_MAX).max(columns) }
}

/// Memory that rows take, in bytes.
pub fn memory_bytes(rollups: &[Rollup]) -> usize {
    let rows = rollups.iter().flat_map(|rollup| &rollup.rows);
    rows.map(|row| ROW_MEMORY + row.histogram.len()).sum()
}
