// Submetrics that are named with an empty list of thresholds, as people do to see them in the summary. Fixed: all.
import { Trend, Counter } from 'k6/metrics';
const wait = new Trend('wait', true), hits = new Counter('hits');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 4 } },
  thresholds: { 'wait{kind:a}': [], 'wait{kind:none}': [], 'hits{kind:a}': [], 'iteration_duration{scenario:each}': [] },
};
export default function () { wait.add(5, { kind: 'a' }); wait.add(9, { kind: 'b' }); hits.add(3, { kind: 'a' }); }
