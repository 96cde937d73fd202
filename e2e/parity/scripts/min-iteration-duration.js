// minIterationDuration: 2 iterations of at least 0.2 s each. Fixed: all counts, and the test's duration.
// parity: {"alone": true}
import { Counter } from 'k6/metrics';
const done = new Counter('done');
export const options = { minIterationDuration: '200ms', scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export default function () { done.add(1); }
