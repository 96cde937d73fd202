// --summary-mode=full of a script without scenarios, with groups. Fixed: all.
// parity: {"args": ["--summary-mode=full", "--vus=5", "--iterations=10"]}
import { Counter } from 'k6/metrics';
import { group, check } from 'k6';
const hits = new Counter('hits');
export default function () {
  hits.add(1);
  check(1, { 'at the root': () => true });
  group('first', () => { hits.add(1); check(1, { 'in a group': () => true }); group('inner', () => hits.add(1)); });
  group('second', () => { hits.add(1); });
}
