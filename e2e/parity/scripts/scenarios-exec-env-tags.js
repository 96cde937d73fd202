// Scenarios with their own function, environment, tags and start. Fixed: all.
// parity: {"short": true}
import { Counter } from 'k6/metrics';
import { check } from 'k6';
const hits = new Counter('hits');
export const options = {
  scenarios: {
    first: { executor: 'per-vu-iterations', vus: 5, iterations: 2, exec: 'run', env: { WHO: 'first' }, tags: { color: 'red' } },
    second: { executor: 'shared-iterations', vus: 5, iterations: 7, exec: 'run', env: { WHO: 'second' }, tags: { color: 'blue' }, startTime: '300ms' },
  },
  thresholds: { 'hits{color:red}': ['count==10'], 'hits{color:blue}': ['count==7'], 'hits{who:second}': ['count==7'], 'iterations{color:blue}': ['count==7'] },
};
export function run() { hits.add(1, { who: __ENV.WHO }); check(__ENV.WHO, { 'has its environment': (who) => who === 'first' || who === 'second' }); }
