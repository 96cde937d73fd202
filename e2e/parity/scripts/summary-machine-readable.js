// --new-machine-readable-summary: the other shape of the export and of handleSummary's data. Fixed: all.
// parity: {"args": ["--new-machine-readable-summary"]}
import { Counter, Trend, Rate, Gauge } from 'k6/metrics';
import { check, group } from 'k6';
const hits = new Counter('hits'), wait = new Trend('wait', true), rate = new Rate('share'), gauge = new Gauge('level');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 4 } }, thresholds: { wait: ['max<100'] } };
export default function () { group('g', () => { hits.add(1); wait.add(5); rate.add(1); gauge.add(2); check(1, { one: () => true }); }); }
