// Thresholds of which one of each kind fails. Fixed: which ones, and exit code 99.
// parity: {"short": true, "exit": 99}
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import exec from 'k6/execution';
const counter = new Counter('t_counter'), gauge = new Gauge('t_gauge'), rate = new Rate('t_rate'), trend = new Trend('t_trend', true);
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 20 } },
  thresholds: {
    t_counter: ['count<100', 'count>0', 'rate<0'],
    t_gauge: ['value!=3'],
    t_rate: ['rate>0.25', 'rate<1'],
    t_trend: ['avg<50.5', 'min>1', 'max<100', 'med<50.5', 'p(90)<90.1', 'p(99)<1000'],
    iterations: ['count<100'],
    iteration_duration: ['max<0'],
  },
};
export default function () {
  const n = (exec.vu.idInTest - 1) * 20 + exec.vu.iterationInScenario;
  counter.add(1); gauge.add(3); rate.add(n % 4 === 0); trend.add(n + 1);
}
