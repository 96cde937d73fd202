// summaryTrendStats and summaryTimeUnit of the script. Fixed: all.
// parity: {"short": true}
import { Trend } from 'k6/metrics';
import exec from 'k6/execution';
const wait = new Trend('wait', true), size = new Trend('size'), rare = new Trend('rare', true);
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 20 } },
  summaryTrendStats: ['count', 'min', 'p(99.99)', 'p(1)', 'med', 'max', 'avg'],
  summaryTimeUnit: 's',
  thresholds: { wait: ['p(50)<200'] },
};
export default function () { const n = (exec.vu.idInTest - 1) * 20 + exec.vu.iterationInScenario; wait.add(100 + n); size.add(n); if (n === 3) { rare.add(1); } }
