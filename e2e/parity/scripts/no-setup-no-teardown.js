// --no-setup and --no-teardown: neither runs. Fixed: all.
// parity: {"short": true, "args": ["--no-setup", "--no-teardown"]}
import { check } from 'k6';
import { Counter } from 'k6/metrics';
const setups = new Counter('setups'), teardowns = new Counter('teardowns');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { setups: ['count==0'], teardowns: ['count==0'] } };
export function setup() { setups.add(1); return { a: 1 }; }
export default function (data) { check(data, { 'is undefined': (d) => d === undefined, 'is null': (d) => d === null }); }
export function teardown() { teardowns.add(1); }
