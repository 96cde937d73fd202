// A gauge to which VUs give different values. Fixed: the lowest and the highest, and their submetrics; not the last.
// parity: {"free": ["spread"]}
import { Gauge } from 'k6/metrics';
import exec from 'k6/execution';
const spread = new Gauge('spread');
const last = new Gauge('last');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 3 } },
  thresholds: { spread: ['value>=1', 'value<=5'], 'last{who:five}': ['value==500'] },
};
export default function () {
  spread.add(exec.vu.idInTest);
  last.add(exec.vu.idInTest * 100, { who: exec.vu.idInTest === 5 ? 'five' : 'other' });
  last.add(500, { who: 'five' });
}
