// A constant arrival rate: 10 iterations a second for 2 s. Fixed: how many there are, within one at each instance's end.
// parity: {"alone": true, "free": ["iterations", "done", "vus"]}
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = {
  scenarios: {
    rate: { executor: 'constant-arrival-rate', rate: 10, timeUnit: '1s', duration: '2s', preAllocatedVUs: 10, maxVUs: 10 },
  },
  thresholds: { done: ['count>=18', 'count<=22'], dropped_iterations: ['count==0'], vus_max: ['value==10'] },
};
export default function () { done.add(1); }
