// A gauge that is never positive: k6 1 shows 0 as its highest value, a defect mended in k6 2. Fixed: all.
// parity: {"only": 2}
import { Gauge } from 'k6/metrics';
const gauge = new Gauge('below');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { below: ['value==-3', 'value<0'] } };
export default function () { gauge.add(-3); }
