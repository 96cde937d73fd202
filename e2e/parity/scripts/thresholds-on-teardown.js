// A threshold that only teardown() decides: it is judged after it. Fixed: all.
// parity: {"short": true, "exit": 99}
import { Counter } from 'k6/metrics';
const left = new Counter('left_over');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { left_over: ['count<3'] } };
export default function () {}
export function teardown() { left.add(3); }
