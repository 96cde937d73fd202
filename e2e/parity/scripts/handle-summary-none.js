// A script without handleSummary: k6's own text, and no file. Fixed: all.
// parity: {"short": true, "plain": true}
import { Counter, Trend } from 'k6/metrics';
const hits = new Counter('hits'), wait = new Trend('wait', true);
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { wait: ['max<100'] } };
export default function () { hits.add(1); wait.add(12.5); }
