// Each type of metric, plain, of time and of data. Fixed: all values but the last of a gauge to which VUs give several.
// parity: {"short": true}
import { Counter, Gauge, Rate, Trend } from 'k6/metrics';
import exec from 'k6/execution';
const counter = new Counter('m_counter'), counterData = new Counter('m_counter_data', true);
const gauge = new Gauge('m_gauge'), gaugeTime = new Gauge('m_gauge_time', true);
const rate = new Rate('m_rate'), trend = new Trend('m_trend'), trendTime = new Trend('m_trend_time', true);
const unused = new Trend('m_unused');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 20 } } };
export default function () {
  const n = (exec.vu.idInTest - 1) * 20 + exec.vu.iterationInScenario;
  counter.add(1);
  counterData.add(1500);
  gauge.add(7);
  gaugeTime.add(1234.5);
  rate.add(n % 4 === 0);
  trend.add(n + 1);
  trendTime.add((n + 1) * 37.5);
}
