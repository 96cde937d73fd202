// Thresholds that all hold, of every aggregation and operator. Fixed: all.
// parity: {"short": true}
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import exec from 'k6/execution';
const counter = new Counter('t_counter'), gauge = new Gauge('t_gauge'), rate = new Rate('t_rate'), trend = new Trend('t_trend');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 20 } },
  thresholds: {
    t_counter: ['count==100', 'count===100', 'count!=99', 'count>=100', 'count<=100', 'rate>0'],
    t_gauge: ['value==3', 'value<4'],
    t_rate: ['rate==0.25', 'rate>=0.25', 'rate<0.2500001'],
    t_trend: ['avg==50.5', 'min==1', 'max==100', 'med==50.5', 'p(50)==50.5', 'p(90)<90.2', 'p(99.9)<100', 'p(95)<=95.05'],
  },
};
export default function () {
  const n = (exec.vu.idInTest - 1) * 20 + exec.vu.iterationInScenario;
  counter.add(1); gauge.add(3); rate.add(n % 4 === 0); trend.add(n + 1);
}
