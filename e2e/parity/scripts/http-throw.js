// --throw: errors of the network end the iteration with an exception. Fixed: all but timings.
// parity: {"args": ["--throw"]}
import http from 'k6/http';
import { Counter } from 'k6/metrics';
const past = new Counter('past');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { past: ['count==0'] } };
export default function () { http.get('http://127.0.0.1:1/'); past.add(1); }
