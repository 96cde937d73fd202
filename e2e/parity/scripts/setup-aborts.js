// exec.test.abort() in setup(): exit code 108, no iteration.
// parity: {"exit": 108}
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export function setup() { exec.test.abort('not today'); }
export default function () { done.add(1); }
export function teardown() { console.log('in teardown'); }
