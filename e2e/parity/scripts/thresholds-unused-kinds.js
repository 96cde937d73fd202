// Thresholds on metrics without a sample, whose kind and content only the script says. Fixed: all; the rate of no count is 0.
// parity: {"short": true, "exit": 99}
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
const counter = new Counter('u_counter'), data = new Counter('u_data', true), listed = new Counter('u_listed');
const gauge = new Gauge('u_gauge', true), rate = new Rate('u_rate'), trend = new Trend('u_trend', true), plain = new Trend('u_plain');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 1 } },
  thresholds: {
    u_counter: ['rate>0.1'],
    u_data: ['count==0'],
    'u_listed{a:b}': [],
    u_gauge: ['value<1'],
    u_rate: ['rate>0.1'],
    u_trend: ['p(95)<1'],
    'u_plain{a:b}': ['max<1'],
  },
};
export default function () {}
