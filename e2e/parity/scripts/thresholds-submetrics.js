// Thresholds on submetrics: one tag, two tags, a tag of k6's own, and a metric without a threshold of its own. Fixed: all.
// parity: {"short": true, "exit": 99}
import { Counter, Trend } from 'k6/metrics';
import { group, check } from 'k6';
import exec from 'k6/execution';
const hits = new Counter('hits'), wait = new Trend('wait', true);
export const options = {
  scenarios: {
    one: { executor: 'per-vu-iterations', vus: 5, iterations: 2, exec: 'one' },
    two: { executor: 'shared-iterations', vus: 5, iterations: 10, exec: 'two' },
  },
  thresholds: {
    'hits{kind:a}': ['count==10'],
    'hits{kind:b, scenario:one}': ['count==10'],
    'hits{kind:b,scenario:two}': ['count<10'],
    'wait{kind:a}': ['p(95)<100', 'max<=20'],
    'wait{scenario:two}': ['avg<10'],
    'checks{check:is odd}': ['rate>=0.5'],
    'checks{group:::outer}': ['rate>0.4'],
    'iterations{scenario:one}': ['count==10'],
    'group_duration{group:::outer}': ['max<10000'],
  },
};
export function one() {
  const n = exec.vu.iterationInScenario;
  hits.add(1, { kind: 'a' });
  hits.add(1, { kind: 'b' });
  wait.add((n + 1) * 10, { kind: 'a' });
  group('outer', () => check(n, { 'is odd': (n) => n % 2 === 1 }));
}
export function two() { hits.add(1, { kind: 'b' }); wait.add(50); }
