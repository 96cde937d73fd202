// Shared iterations: 21 of them for 5 VUs. Fixed: all counts, and that each number is dealt out once; not to whom.
// parity: {"short": true}
import { Counter, Trend } from 'k6/metrics';
import exec from 'k6/execution';
const done = new Counter('done'), number = new Trend('number');
export const options = { scenarios: { shared: { executor: 'shared-iterations', vus: 5, iterations: 21 } } };
export default function () { done.add(1); number.add(exec.scenario.iterationInTest); }
