// A script that is none: exit code 107.
// parity: {"exit": 107, "logs": "messages", "plain": true}
export default function () { let = = 1; }
