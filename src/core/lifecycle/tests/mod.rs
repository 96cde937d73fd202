//! Scenarios of runs, golden texts of plans, and what holds of every plan.

mod bad_input;
mod golden;
mod life;
mod losses;
mod properties;
mod series;
mod templates;
mod validity;
mod world;
mod writers;
