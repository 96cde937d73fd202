// Constant VUs for 2 s: each iteration sleeps for 0.5 s past the end of the one before. Fixed: vus_max, thresholds.
// parity: {"alone": true, "free": ["iterations", "done", "vus"]}
import { Counter } from 'k6/metrics';
import { sleep } from 'k6';
const done = new Counter('done');
export const options = {
  scenarios: { constant: { executor: 'constant-vus', vus: 6, duration: '2s', gracefulStop: '2s' } },
  thresholds: { done: ['count>=18', 'count<=30'], vus_max: ['value==6'] },
};
export default function () { done.add(1); sleep(0.5); }
