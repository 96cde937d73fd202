export const options = { iterations: 2, summaryTimeUnit: "s" };

export default function () {}
