// Thresholds on metrics and submetrics that get no sample, of each type. Fixed: all.
// parity: {"short": true, "exit": 99}
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
const counter = new Counter('n_counter'), gauge = new Gauge('n_gauge'), rate = new Rate('n_rate'), trend = new Trend('n_trend', true);
const some = new Counter('some');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  thresholds: {
    n_counter: ['count==0', 'count>0', 'rate<1'],
    n_gauge: ['value==0', 'value<5', 'value>5'],
    n_rate: ['rate<0.1', 'rate>0.9'],
    n_trend: ['p(95)<100', 'max>0', 'avg==0', 'med<=0'],
    'some{a:none}': ['count<1', 'count>1'],
    'http_req_duration{status:500}': ['max<1'],
    http_req_failed: ['rate<0.01'],
    http_reqs: ['count>=0'],
    checks: ['rate>0.9'],
  },
};
export default function () { some.add(1, { a: 'b' }); }
