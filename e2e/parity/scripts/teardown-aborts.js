// exec.test.abort() in teardown(): exit code 108; what was measured is in the summary. Fixed: all.
// parity: {"exit": 108}
import exec from 'k6/execution';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export default function () { done.add(1); }
export function teardown() { exec.test.abort('enough'); }
