// A ramping arrival rate: up to 20 a second within 1 s, 1 s there. Fixed: about 30 iterations.
// parity: {"alone": true, "free": ["iterations", "done", "vus"]}
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = {
  scenarios: {
    rate: {
      executor: 'ramping-arrival-rate', startRate: 0, timeUnit: '1s', preAllocatedVUs: 10,
      stages: [{ duration: '1s', target: 20 }, { duration: '1s', target: 20 }],
    },
  },
  thresholds: { done: ['count>=25', 'count<=35'] },
};
export default function () { done.add(1); }
