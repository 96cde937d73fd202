// Groups in groups, with the same name in two places, and checks in each. Fixed: all.
// parity: {"short": true}
import { group, check } from 'k6';
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { 'checks{group:::a::b}': ['rate==1'] } };
export default function () {
  check(1, { 'at the root': () => true });
  group('a', () => {
    check(1, { same: () => true });
    group('b', () => { check(1, { same: () => true }); group('a', () => check(1, { deepest: () => true })); });
  });
  group('b', () => check(1, { same: () => false }));
  group('empty', () => {});
}
