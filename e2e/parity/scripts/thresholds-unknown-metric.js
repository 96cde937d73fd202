// A threshold on a metric that the script does not have: k6 refuses the test before it begins.
// parity: {"exit": 104}
export const options = { vus: 5, iterations: 5, thresholds: { no_such_metric: ['count<1'] } };
export default function () {}
