// exec.test.abort() while thresholds fail: the abort decides the exit code, 108.
// parity: {"alone": true, "exit": 108, "free": ["iterations", "done", "vus"], "logs": "messages"}
import exec from 'k6/execution';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { constant: { executor: 'constant-vus', vus: 5, duration: '20s', gracefulStop: '0s' } }, thresholds: { done: ['count<1'] } };
export default function () {
  done.add(1);
  sleep(0.2);
  if (exec.vu.idInTest === 1 && exec.vu.iterationInInstance === 1) { exec.test.abort(); }
}
