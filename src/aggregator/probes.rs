//! Looks at every output until it can be written to, or never will.

use std::time::Duration;

use tokio::{sync::mpsc, task::JoinSet};

use crate::output::output::{OpenOutput, Probe};

/// Pause between two looks at an output that is not ready.
const PAUSE: Duration = Duration::from_secs(2);

/// One task for each output; they end with the set.
pub(super) fn spawn(outputs: &[OpenOutput], to: &mpsc::Sender<(usize, Probe)>) -> JoinSet<()> {
    let mut probes = JoinSet::new();
    for (at, open) in outputs.iter().enumerate() {
        let (output, to) = (open.output.clone(), to.clone());
        probes.spawn(async move {
            loop {
                let probe = output.probe().await;
                let is_last = !matches!(probe, Probe::Waiting(_));
                if to.send((at, probe)).await.is_err() || is_last {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    probes
}
