//! Our summaries beside those of the real k6, made of the same samples. k6 2.x is `WEIR_K6` or `k6` on PATH, k6 1.x
//! is `WEIR_K6_V1`.

mod handle;
mod kinds;
mod layout;
mod likeness;
mod parity;
mod reader;
mod rig;
