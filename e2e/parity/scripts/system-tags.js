// systemTags with vu and iter, which are metadata, and a submetric by scenario, which is not in the list. Fixed: all.
import { Counter } from 'k6/metrics';
import { group } from 'k6';
const hits = new Counter('hits');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  systemTags: ['vu', 'iter', 'group'],
  thresholds: { 'hits{group:::g}': ['count==10'], 'hits{scenario:each}': ['count==0'], 'hits{vu:1}': ['count==0'] },
};
export default function () { group('g', () => hits.add(1)); }
