// An exception in each iteration: k6 logs them and goes on, and ends with 0. Fixed: all.
// parity: {"short": true}
import { Counter } from 'k6/metrics';
const begun = new Counter('begun'), ended = new Counter('ended');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 3 } }, thresholds: { begun: ['count==15'] } };
export default function () { begun.add(1); throw new Error('oh no'); ended.add(1); }
