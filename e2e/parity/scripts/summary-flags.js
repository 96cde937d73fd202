// --summary-trend-stats and --summary-time-unit weigh more than the script's. Fixed: all.
// parity: {"args": ["--summary-trend-stats=avg,p(75),count", "--summary-time-unit=us"]}
import { Trend } from 'k6/metrics';
import exec from 'k6/execution';
const wait = new Trend('wait', true);
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 4 } }, summaryTrendStats: ['max'], summaryTimeUnit: 's' };
export default function () { wait.add((exec.vu.idInTest - 1) * 4 + exec.vu.iterationInScenario); }
