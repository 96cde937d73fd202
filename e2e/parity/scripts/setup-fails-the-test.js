// exec.test.fail() in setup(): the test runs, and its exit code is 110. Fixed: all.
// parity: {"exit": 110}
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export function setup() { exec.test.fail('bad from the start'); return { a: 1 }; }
export default function () { done.add(1); }
