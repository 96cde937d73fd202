// Checks that hold, fail, and do both. Fixed: how often.
// parity: {"short": true}
import { check } from 'k6';
import exec from 'k6/execution';
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 6 } } };
export default function () {
  const n = (exec.vu.idInTest - 1) * 6 + exec.vu.iterationInScenario;
  check(n, { 'always': () => true, 'never': () => false, 'every third': (n) => n % 3 === 0, 'with "quotes" & <signs>': () => true });
  check(n, { tagged: (n) => n < 10 }, { kind: 'extra' });
}
