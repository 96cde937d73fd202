// Ramping VUs: up to 6 and down again, within 2.5 s. Fixed: vus_max, the thresholds.
// parity: {"alone": true, "free": ["iterations", "done", "vus"]}
import { Counter } from 'k6/metrics';
import { sleep } from 'k6';
const done = new Counter('done');
export const options = {
  scenarios: {
    ramp: {
      executor: 'ramping-vus', startVUs: 1, gracefulRampDown: '1s', gracefulStop: '1s',
      stages: [{ duration: '1s', target: 6 }, { duration: '1s', target: 6 }, { duration: '500ms', target: 0 }],
    },
  },
  thresholds: { done: ['count>10'], vus_max: ['value==6'] },
};
export default function () { done.add(1); sleep(0.1); }
