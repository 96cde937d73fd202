//! The memory that reading some bytes takes.

/// Most memory that a decoder may take at once, for each byte that it is given, and in any case.
const MEMORY_PER_BYTE: u64 = 512;
const MEMORY: u64 = 64 << 10;

/// What `read` gives for these bytes, in memory that is bounded by their number.
pub fn bounded<'a, T>(bytes: &'a [u8], read: impl FnOnce(&'a [u8]) -> T) -> T {
    let mut result = None;
    let taken = allocation_counter::measure(|| result = Some(read(bytes))).bytes_max;
    let most = MEMORY + MEMORY_PER_BYTE * bytes.len() as u64;
    assert!(taken <= most, "{taken} bytes of memory for {} bytes", bytes.len());
    result.unwrap()
}
