// Thresholds that sit exactly on a value: the percentile is T itself, or lies between two values of which one is T.
// parity: {"short": true, "exit": 99}
import { Trend, Rate } from 'k6/metrics';
import exec from 'k6/execution';
const same = new Trend('same'), steps = new Trend('steps'), halves = new Trend('halves', true), rate = new Rate('e_rate');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 7, iterations: 3 } },
  thresholds: {
    same: ['p(95)<=250', 'p(95)<250', 'p(95)==250', 'p(95)!=250', 'p(50)>=250', 'med<=250', 'max<=250', 'max<250', 'min>=250', 'avg<=250', 'avg==250'],
    steps: ['p(95)<=20', 'p(95)<20', 'p(95)==20', 'p(50)==11', 'p(50)<11', 'med>11', 'p(90)<=19', 'p(90)<19', 'p(10)>=3', 'p(10)>3', 'p(100)<=21'],
    halves: ['p(95)<=0.5', 'p(51)>0.1', 'p(50)==0.1', 'p(52)<0.3', 'p(52.5)<=0.3000001'],
    e_rate: ['rate<=0.42857142857142855', 'rate<0.42857142857142855', 'rate==0.42857142857142855'],
  },
};
export default function () {
  const n = (exec.vu.idInTest - 1) * 3 + exec.vu.iterationInScenario;
  same.add(250); steps.add(n + 1); halves.add(n <= 10 ? 0.1 : 0.5); rate.add(n < 9);
}
