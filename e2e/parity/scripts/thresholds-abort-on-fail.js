// A threshold with abortOnFail that fails from the first moment: the test ends at the first evaluation, not after 30 s.
// parity: {"alone": true, "short": true, "exit": 99, "free": ["iterations", "bad", "vus", "fine"]}
import { Counter, Rate } from 'k6/metrics';
import { sleep } from 'k6';
const bad = new Rate('bad'), fine = new Counter('fine'), torn = new Counter('torn_down');
export const options = {
  scenarios: { constant: { executor: 'constant-vus', vus: 5, duration: '30s', gracefulStop: '0s' } },
  thresholds: { bad: [{ threshold: 'rate<0.5', abortOnFail: true }], fine: ['count>0'], torn_down: ['count==1'] },
};
export default function () { bad.add(true); fine.add(1); sleep(0.1); }
export function teardown() { torn.add(1); }
