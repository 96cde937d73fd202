import { check, group } from "k6";
import { Trend } from "k6/metrics";

const took = new Trend("took", true);

export const options = {
  iterations: 3,
  summaryTrendStats: ["min", "p(99.9)", "med", "count"],
  summaryTimeUnit: "us",
};

export function setup() {
  check(0, { "before all": () => true });
}

export function teardown() {
  group("cleaning", () => check(0, { "after all": () => false }));
}

export default function () {
  check(1, { "of the root": () => true, shared: () => true });
  group("outer", () => {
    check(1, { "of outer": () => true });
    group("inner", () => {
      took.add(3.5 * (__ITER + 1));
      check(1, { "of inner": () => false, shared: () => __ITER > 0 });
      group("deepest", () => check(1, { lowest: () => __ITER > 0 }));
    });
    check(1, { "of outer, late": () => true });
  });
  group("another", () => took.add(1));
  check(1, { "of the root, late": () => true });
}
