// An exception in the init context of a VU alone: nothing was measured, and the script's handleSummary() is called all the same.
// parity: {"exit": 107, "logs": "messages", "short": true}
export const options = { vus: 5, iterations: 5 };
if (__VU > 0) { throw new Error('no VU today'); }
export default function () {}
