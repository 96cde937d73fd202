// setup() that throws: exit code 107, no iteration; teardown is not run.
// parity: {"short": true, "exit": 107}
import http from 'k6/http';
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { done: ['count==0'] } };
export function setup() { http.get(`${__ENV.TARGET}/count/${__ENV.RUN}/setup`, { tags: { name: 'setup' } }); throw new Error('no setup today'); }
export default function () { done.add(1); }
export function teardown() { http.get(`${__ENV.TARGET}/count/${__ENV.RUN}/teardown`, { tags: { name: 'teardown' } }); }
