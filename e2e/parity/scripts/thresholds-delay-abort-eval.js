// A threshold with abortOnFail and a delay longer than the test: it fails, but nothing is broken off.
// parity: {"alone": true, "exit": 99, "free": ["vus"]}
import { Counter } from 'k6/metrics';
import { sleep } from 'k6';
const done = new Counter('done');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 5 } },
  thresholds: { done: [{ threshold: 'count<1', abortOnFail: true, delayAbortEval: '20s' }, { threshold: 'count==25' }] },
};
export default function () { done.add(1); sleep(0.5); }
