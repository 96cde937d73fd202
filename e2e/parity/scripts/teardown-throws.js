// teardown() that throws: exit code 107; what was measured is in the summary.
// parity: {"exit": 107}
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { done: ['count==10'] } };
export default function () { done.add(1); }
export function teardown() { throw new Error('no teardown today'); }
