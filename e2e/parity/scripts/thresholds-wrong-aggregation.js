// An aggregation that the metric's type does not have: k6 refuses the test before it begins.
// parity: {"exit": 104}
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export const options = { vus: 5, iterations: 5, thresholds: { hits: ['p(95)<1'] } };
export default function () { hits.add(1); }
