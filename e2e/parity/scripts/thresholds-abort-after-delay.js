// abortOnFail after a delay of 3 s: the test runs at least as long, and ends at the next evaluation.
// parity: {"alone": true, "exit": 99, "free": ["iterations", "done", "vus"]}
import { Counter } from 'k6/metrics';
import { sleep } from 'k6';
const done = new Counter('done');
export const options = {
  scenarios: { constant: { executor: 'constant-vus', vus: 5, duration: '30s', gracefulStop: '0s' } },
  thresholds: { done: [{ threshold: 'count<1', abortOnFail: true, delayAbortEval: '3s' }, 'count>100'] },
};
export default function () { done.add(1); sleep(0.1); }
