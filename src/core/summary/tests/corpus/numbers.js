import { Gauge } from "k6/metrics";

// The same numbers in each run: every magnitude, and what lies on the edge between two ways to write it.
let state = 12345;
function random() {
  state = (state * 1103515245 + 12345) % 2147483648;
  return state / 2147483648;
}

const letters = "aAbBzZ_09";
const values = [0, 0.125, 0.375, 0.005, 1.005, 9.995, 10, 999, 999.5, 999.949, 1000, 9950, 59994.999, 59995, 60000, 60001,
  3599999, 3600000, 86400000, 1e6, 999949, 999950, 1e9, 1e12, 1e15, 1e18, 1e20, 1e21, 5e22, 1e24, 1e-3, 9.99999e-4, 1e-7,
  123456789.1234565, -1, -0.0004, -70000, 2.5, 3.5];
while (values.length < 160) {
  values.push((random() - 0.1) * 10 ** Math.floor(random() * 18 - 7));
}
const gauges = values.map((value, at) => {
  let name = "";
  while (name.length < 6) name += letters[Math.floor(random() * letters.length)];
  // A name begins with a letter, and none comes twice.
  const gauge = { plain: new Gauge(`x${name}${at}`), time: new Gauge(`X${name}${at}`, true), value };
  return gauge;
});

const thresholds = {};
const signs = " _-;!?.'\"()[]@*/\\&#%`^+<=>|~$0aAbBzZ";
for (let at = 0; at < signs.length; at++) {
  thresholds[`marked{tag:a${signs[at]}c}`] = ["value>=0"];
}
const marked = new Gauge("marked", true);

export const options = { thresholds, summaryTrendStats: ["avg"] };

export default function () {
  for (const gauge of gauges) {
    gauge.plain.add(gauge.value);
    gauge.time.add(gauge.value);
  }
  for (let at = 0; at < signs.length; at++) {
    marked.add(at, { tag: `a${signs[at]}c` });
  }
}
