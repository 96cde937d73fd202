// exec.test.abort() in one VU: exit code 108 for the whole test, long before its end; teardown() runs.
// parity: {"alone": true, "short": true, "exit": 108, "free": ["iterations", "done", "vus"], "logs": "messages"}
import exec from 'k6/execution';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
const done = new Counter('done'), teardowns = new Counter('teardowns');
export const options = { scenarios: { constant: { executor: 'constant-vus', vus: 5, duration: '20s', gracefulStop: '0s' } }, thresholds: { done: ['count>0'], teardowns: ['count==1'] } };
export default function () {
  done.add(1);
  sleep(0.2);
  if (exec.vu.idInTest === 3 && exec.vu.iterationInInstance === 1) { exec.test.abort('enough'); }
}
export function teardown() { teardowns.add(1); }
