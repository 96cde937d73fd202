//! Whether lines can be written, before the load starts: a write of none says so, and leaves nothing behind.
//!
//! InfluxDB looks at token, organization, bucket or database before it looks at the lines.

use super::{
    client::{InfluxDbOutput, answer},
    outcome::{hopeless, said},
};
use crate::{core::pipeline::retry::Written, output::output::Probe};

/// Writes nothing to `output`.
pub(super) async fn probe(output: &InfluxDbOutput) -> Probe {
    let answered = match output.post(String::new()).await {
        Ok(answered) => answered,
        Err(Written::Failed(_, why)) => return Probe::Waiting(why),
        Err(Written::Fatal(why)) => return Probe::Failed(why),
        Err(_) => return Probe::Waiting("the write of no lines was not answered".to_owned()),
    };
    let (answer, place) = (answer(&answered), output.place());
    let said = said(answer);
    match answer.status {
        204 => Probe::Ready,
        200 if answer.body.is_empty() => Probe::Ready,
        400 => of_bad_request(said, place, output.is_compressed()),
        422 => Probe::Failed(format!("the server does not take lines for {place}: {said}")),
        408 | 425 | 429 | 499 | 500..=599 => Probe::Waiting(said),
        _ => Probe::Failed(hopeless(answer, place)),
    }
}

/// Some servers refuse a write of no lines: then all else was right. What they say of a name is about ours. Who does not
/// know compression sees bytes where there should be none.
fn of_bad_request(said: String, place: &str, is_compressed: bool) -> Probe {
    let text = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["empty", "requires points", "no points", "no lines"]) {
        Probe::Ready
    } else if says(&["name", "database", "bucket", "org"]) {
        Probe::Failed(format!("the server does not take lines for {place}: {said}"))
    } else if is_compressed {
        Probe::Failed(format!(
            "the server does not read compressed lines; set spec.outputs[].influxdb.compression to None: {said}"
        ))
    } else {
        Probe::ReadyUnproved(said)
    }
}
