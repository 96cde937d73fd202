// An async handleSummary that reads the data and the script's own module. Fixed: all.
import { describe } from './lib/describe.js';
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } } };
export default function () {}
export async function handleSummary(data) {
  const text = await Promise.resolve(describe(data.metrics.iterations.values.count));
  return { 'out.txt': text, stdout: text };
}
