// --summary-mode=full: groups and scenarios with their own metrics and checks. Fixed: all.
// parity: {"short": true, "exit": 99, "args": ["--summary-mode=full"]}
import { Counter, Trend } from 'k6/metrics';
import { group, check } from 'k6';
const hits = new Counter('hits'), wait = new Trend('wait', true);
export const options = {
  scenarios: {
    buy: { executor: 'per-vu-iterations', vus: 5, iterations: 2, exec: 'buy' },
    look: { executor: 'per-vu-iterations', vus: 5, iterations: 1, exec: 'look', startTime: '400ms' },
  },
  thresholds: { hits: ['count==30', 'count<30'], 'wait{scenario:look}': ['max<100'] },
};
export function buy() {
  group('shop', () => {
    hits.add(1);
    check(1, { 'shop is open': (n) => n === 1 });
    group('cart', () => { hits.add(1); wait.add(20); check(1, { 'cart is full': (n) => n === 2 }); });
  });
}
export function look() { hits.add(2); wait.add(10); check(1, { 'can look': () => true }); }
