// An exception in the init context of a VU alone: the script can be read, but the test cannot begin, and there is nothing to sum up.
// parity: {"exit": 107, "logs": "messages", "plain": true}
export const options = { vus: 5, iterations: 5 };
if (__VU > 0) { throw new Error('no VU today'); }
export default function () {}
