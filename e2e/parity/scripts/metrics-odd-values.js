// Values that are not plain: negative, zero, tiny, large, fractions. Fixed: all of them.
// parity: {"short": true}
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import exec from 'k6/execution';
const counter = new Counter('o_counter'), gauge = new Gauge('o_gauge');
const rate = new Rate('o_rate'), trend = new Trend('o_trend'), zeros = new Trend('o_zeros'), tiny = new Trend('o_tiny', true);
const values = [-1000, -0.5, 0, 1e-9, 0.1, 3, 1e6, 123456789.125, -7, 42];
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 10 } },
  thresholds: { o_trend: ['min==-1000', 'max==123456789.125', 'p(0)==-1000', 'p(100)==123456789.125', 'avg>0'] },
};
export default function () {
  const value = values[exec.vu.iterationInInstance % values.length];
  counter.add(Math.abs(value));
  gauge.add(0.25);
  rate.add(value);
  trend.add(value);
  zeros.add(0);
  tiny.add(0.0000025);
}
