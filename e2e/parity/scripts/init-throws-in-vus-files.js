// An exception in the init context of a VU alone: nothing was measured, and handleSummary() writes its files all the same.
// parity: {"exit": 107, "logs": "messages", "short": true}
export const options = { vus: 5, iterations: 5 };
if (__VU > 0) { throw new Error('no VU today'); }
export default function () {}
export function handleSummary(data) {
  return { 'data.json': JSON.stringify(data.metrics), stdout: `metrics: ${Object.keys(data.metrics).length}\n` };
}
