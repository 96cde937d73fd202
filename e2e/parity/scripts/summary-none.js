// --no-summary, as it is called in k6 1: no text, no file, no handleSummary.
// parity: {"only": 1, "plain": true, "args": ["--no-summary"]}
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export default function () {}
export function handleSummary() { return { 'never.txt': 'never' }; }
