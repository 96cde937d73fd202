// teardown() that takes longer than teardownTimeout: exit code 101.
// parity: {"exit": 101}
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { teardownTimeout: '500ms', scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export default function () { done.add(1); }
export function teardown() { sleep(20); }
