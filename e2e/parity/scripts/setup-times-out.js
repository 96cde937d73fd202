// setup() that takes longer than setupTimeout: exit code 100.
// parity: {"exit": 100}
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { setupTimeout: '500ms', scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export function setup() { sleep(20); }
export default function () { done.add(1); }
