// One VU, one iteration: Weir refuses more instances than VUs, so it is run with one. Fixed: all.
// parity: {"short": true, "upTo": 1}
import { Counter } from 'k6/metrics';
import { check } from 'k6';
const hits = new Counter('hits');
export const options = { thresholds: { hits: ['count==1'], iterations: ['count==1'] } };
export default function () { hits.add(1); check(1, { one: () => true }); }
