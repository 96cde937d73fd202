// A script of several files: a local module, and open() in both. Fixed: all.
// parity: {"short": true}
import { Counter } from 'k6/metrics';
import { check } from 'k6';
import { SharedArray } from 'k6/data';
import { words, describe } from './lib/describe.js';
const own = JSON.parse(open('./data/words.json'));
const shared = new SharedArray('words', () => JSON.parse(open('data/words.json')));
const hits = new Counter('hits');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { hits: ['count==30'] } };
export default function () {
  hits.add(words.length);
  check(shared, { 'same words': (s) => s.length === own.length && s[2] === words[2], 'module works': () => describe(1) === 'iterations: 1\n' });
}
