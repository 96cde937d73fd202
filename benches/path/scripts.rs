//! What k6 runs: as many samples as are asked for, as fast as one VU makes them, or at a pace.

use std::{fs, path::PathBuf};

/// What a sample looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A trend of the script's, without tags of its own.
    Custom,
    /// The tags of an HTTP request.
    Http,
}

/// Samples of an iteration.
const EACH: u32 = 1000;

impl Shape {
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Custom => "A trend of the script's in a loop, without tags of its own",
            Self::Http => "The same with the tags of HTTP requests to twenty addresses",
        }
    }
}

/// So many samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) shape: Shape,
    pub(crate) samples: u32,
    /// Samples a second; none: as fast as they come.
    pub(crate) pace: Option<u32>,
}

impl Load {
    /// Its script, in a folder that is gone with what is returned.
    pub(crate) fn script(self) -> (tempfile::TempDir, PathBuf) {
        let Self { shape, samples, pace } = self;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("script.js");
        let iterations = samples / EACH;
        let scenario = match pace {
            None => format!(
                "executor: 'shared-iterations', vus: 1, iterations: {iterations}, maxDuration: '10m'"
            ),
            Some(pace) => format!(
                "executor: 'constant-arrival-rate', rate: {}, timeUnit: '1s', duration: '{}ms', preAllocatedVUs: 10",
                pace / EACH,
                u64::from(samples) * 1000 / u64::from(pace),
            ),
        };
        let tags = match shape {
            Shape::Custom => "undefined",
            Shape::Http => {
                "{ expected_response: 'true', method: 'GET', name: `http://test.k6.io/page/${n}`, proto: 'HTTP/1.1', status: '200', url: `http://test.k6.io/page/${n}` }"
            }
        };
        let text = format!(
            "import {{ Trend }} from 'k6/metrics';
const my_t = new Trend('my_t');
const tags = Array.from({{ length: 20 }}, (_, n) => ({tags}));
export const options = {{ scenarios: {{ load: {{ {scenario} }} }} }};
export default function () {{
  for (let i = 0; i < {EACH}; i++) my_t.add(i * 0.371, tags[i % 20]);
}}
"
        );
        fs::write(&file, text).expect("the script");
        (folder, file)
    }
}
