// --env and the environment: the same to the script in every place it is read. Fixed: all.
// parity: {"args": ["--env", "TIMES=4", "--include-system-env-vars"], "env": {"FROM_OUTSIDE": "yes"}}
import { Counter } from 'k6/metrics';
import { check } from 'k6';
const hits = new Counter('hits');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: Number(__ENV.TIMES) } }, thresholds: { hits: [`count==${5 * Number(__ENV.TIMES)}`] } };
export function setup() { return { seen: __ENV.FROM_OUTSIDE }; }
export default function (data) { hits.add(1); check(data, { 'seen in setup': (d) => d.seen === 'yes', 'seen here': () => __ENV.FROM_OUTSIDE === 'yes' }); }
