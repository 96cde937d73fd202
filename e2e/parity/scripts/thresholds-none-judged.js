// --no-thresholds: those that would fail are not judged, and their submetrics are not there.
// parity: {"short": true, "args": ["--no-thresholds"]}
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  thresholds: { hits: ['count<1'], 'hits{kind:a}': ['count<1'] },
};
export default function () { hits.add(1, { kind: 'a' }); }
