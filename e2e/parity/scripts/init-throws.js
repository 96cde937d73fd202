// An exception in the init context: exit code 107 before anything runs.
// parity: {"exit": 107, "logs": "messages"}
export const options = { vus: 5, iterations: 5 };
throw new Error('no init today');
export default function () {}
