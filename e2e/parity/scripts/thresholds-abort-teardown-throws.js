// abortOnFail, and a teardown() that throws after it. Fixed: which of the two decides the exit code.
// parity: {"alone": true, "exit": 99, "free": ["iterations", "bad", "vus"]}
import { Rate } from 'k6/metrics';
import { sleep } from 'k6';
const bad = new Rate('bad');
export const options = {
  scenarios: { constant: { executor: 'constant-vus', vus: 5, duration: '30s', gracefulStop: '0s' } },
  thresholds: { bad: [{ threshold: 'rate<0.5', abortOnFail: true }] },
};
export default function () { bad.add(true); sleep(0.1); }
export function teardown() { throw new Error('no teardown today'); }
