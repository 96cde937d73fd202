// VU ids as k6/execution tells them: each once over the whole test. Fixed: all.
import { Counter, Trend } from 'k6/metrics';
import exec from 'k6/execution';
const ids = new Trend('ids'), total = new Counter('total');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 10, iterations: 3 } },
  thresholds: { ids: ['min==1', 'max==10', 'avg==5.5'], total: ['count==30'] },
};
export default function () { ids.add(exec.vu.idInTest); total.add(1); }
