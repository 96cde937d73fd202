// A threshold that is no expression: k6 refuses the test before it begins.
// parity: {"exit": 104}
export const options = { vus: 5, iterations: 5, thresholds: { iterations: ['count<<1'] } };
export default function () {}
