// Scenarios with fewer VUs than there are instances, but together with more. Fixed: all.
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export const options = {
  scenarios: {
    one: { executor: 'per-vu-iterations', vus: 1, iterations: 3, exec: 'one' },
    three: { executor: 'shared-iterations', vus: 3, iterations: 10, exec: 'three' },
    two: { executor: 'per-vu-iterations', vus: 2, iterations: 2, exec: 'two', startTime: '200ms' },
  },
  thresholds: { 'hits{n:1}': ['count==3'], 'hits{n:3}': ['count==10'], 'hits{n:2}': ['count==4'], 'iterations{scenario:one}': ['count==3'] },
};
export function one() { hits.add(1, { n: '1' }); }
export function two() { hits.add(1, { n: '2' }); }
export function three() { hits.add(1, { n: '3' }); }
