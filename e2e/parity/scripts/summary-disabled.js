// --summary-mode=disabled: no text, no file, no handleSummary; thresholds are judged all the same.
// parity: {"short": true, "exit": 99, "plain": true, "args": ["--summary-mode=disabled"]}
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { hits: ['count<1'] } };
export default function () { hits.add(1); }
export function handleSummary() { return { 'never.txt': 'never' }; }
