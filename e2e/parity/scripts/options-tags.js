// options.tags and --tag, which replaces them whole. Fixed: all.
// parity: {"short": true, "args": ["--tag", "site=lab"]}
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  tags: { team: 'blue' },
  thresholds: { 'hits{team:blue}': ['count>=0'], 'hits{site:lab}': ['count==10'] },
};
export default function () { hits.add(1); }
