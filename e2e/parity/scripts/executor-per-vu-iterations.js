// Iterations for each VU: 4 for each of 7. Fixed: all counts.
// parity: {"short": true}
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 7, iterations: 4 } } };
export default function () { done.add(2.5); }
