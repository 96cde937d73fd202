// handleSummary that returns what k6 cannot write.
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export default function () {}
export function handleSummary() { return { 'a.txt': 'text', 'b.txt': 5 }; }
