//! Several texts in one input.

/// Stands between two pieces. Text that is inserted into a piece or taken from it leaves all others whole.
const BETWEEN: &[u8] = b"\0|\0|";

/// The pieces of an input.
pub fn split(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let at = bytes.windows(BETWEEN.len()).position(|window| window == BETWEEN);
        rest = at.map(|at| &bytes[at + BETWEEN.len()..]);
        Some(&bytes[..at.unwrap_or(bytes.len())])
    })
}

/// The input that has these pieces.
pub fn join<T: AsRef<[u8]>>(pieces: &[T]) -> Vec<u8> {
    pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(BETWEEN)
}
