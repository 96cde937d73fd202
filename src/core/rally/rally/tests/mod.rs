//! Single decisions, and whole runs in a simulated world.

mod decisions;
mod simulation;
