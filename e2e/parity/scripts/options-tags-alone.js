// options.tags of the script alone, seen by thresholds. Fixed: all.
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  tags: { team: 'blue' },
  thresholds: { 'hits{team:blue}': ['count==10'], 'iterations{team:blue}': ['count==10'], 'hits{team:red}': ['count==0'] },
};
export default function () { hits.add(1); }
