// An arrival rate that its VUs cannot keep up with. Fixed: dropped_iterations is there, and its threshold fails.
// parity: {"alone": true, "exit": 99, "free": ["iterations", "dropped_iterations", "vus"]}
import { sleep } from 'k6';
export const options = {
  scenarios: {
    rate: { executor: 'constant-arrival-rate', rate: 50, timeUnit: '1s', duration: '1800ms', preAllocatedVUs: 5, maxVUs: 5, gracefulStop: '2s' },
  },
  thresholds: { dropped_iterations: ['count<5'] },
};
export default function () { sleep(0.6); }
