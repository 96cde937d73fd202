// --summary-mode=legacy, which k6 1 still has. Fixed: all.
// parity: {"only": 1, "exit": 99, "args": ["--summary-mode=legacy"]}
import { Counter, Trend } from 'k6/metrics';
import { group, check } from 'k6';
const hits = new Counter('hits'), wait = new Trend('wait', true);
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { hits: ['count<1'], 'wait{a:b}': ['max<100'] } };
export default function () { group('g', () => { hits.add(1); wait.add(5, { a: 'b' }); check(1, { one: (n) => n === 1, two: (n) => n === 2 }); }); }
