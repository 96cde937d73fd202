// A .tar archive of a script of several files. Fixed: all.
// parity: {"short": true, "exit": 99, "archive": true}
import { Counter } from 'k6/metrics';
import { check } from 'k6';
import { words } from './lib/describe.js';
const own = JSON.parse(open('./data/words.json'));
const hits = new Counter('hits');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { hits: ['count==30', 'count<30'] } };
export default function () { hits.add(words.length); check(own, { 'same words': (o) => o[0] === words[0] }); }
