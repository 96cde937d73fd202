import { check } from "k6";
import { Counter, Gauge, Rate, Trend } from "k6/metrics";

const orders = new Counter("orders");
const sent = new Counter("sent_of_mine", false);
const waited = new Counter("waited", true);
const depth = new Gauge("depth");
const age = new Gauge("age", true);
const hits = new Rate("hits");
const took = new Trend("took", true);
const size = new Trend("size");
const SIZE = new Trend("Size");
new Trend("never_used");
new Counter("vus_of_mine").name;

export const options = {
  iterations: 4,
  summaryTrendStats: ["avg", "min", "max", "count"],
  thresholds: {
    orders: ["count>2", "rate>0"],
    "orders{color:red}": ["count==2", "count!=7"],
    "orders{color:blue}": ["count<1"],
    hits: [{ threshold: "rate<0.1", abortOnFail: false }],
    took: ["avg < 100", "max<1"],
    "took{color:red}": ["min>0"],
    never_used: ["avg<5"],
    age: ["value<5"],
    "size{color:none}": ["max<5"],
    "checks{check:second}": ["rate>0.9"],
  },
};

export function setup() {
  return { list: [1, 2.5], text: "ü", none: null };
}

export default function () {
  const color = __ITER % 2 ? "red" : "blue";
  orders.add(1, { color });
  sent.add(1234.5);
  waited.add(61000);
  depth.add(__ITER - 1.25);
  age.add(12.5);
  hits.add(__ITER === 1);
  took.add(0.0004 * 10 ** (__ITER * 2), { color });
  size.add(1e7 / 3 ** __ITER);
  SIZE.add(-2);
  check(1, { first: () => true, second: () => __ITER !== 1 });
}
