// A threshold on checks that fails because of one of them. Fixed: all.
// parity: {"exit": 99}
import { check } from 'k6';
import exec from 'k6/execution';
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 4 } }, thresholds: { checks: ['rate>0.75', 'rate>=0.75'] } };
export default function () { check((exec.vu.idInTest - 1) * 4 + exec.vu.iterationInScenario, { 'not each fourth': (n) => n % 4 !== 3, 'not each fourth but one': (n) => n % 4 !== 2 }); }
