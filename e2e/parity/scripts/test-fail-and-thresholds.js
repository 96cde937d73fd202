// exec.test.fail() while a threshold fails. The mark decides the exit code, 110. Fixed: all.
// parity: {"exit": 110}
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 4 } }, thresholds: { done: ['count<20'] } };
export default function () { done.add(1); if (exec.vu.idInTest === 1) { exec.test.fail('not good enough'); } }
