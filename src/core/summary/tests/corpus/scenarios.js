import { check, group } from "k6";
import { Counter } from "k6/metrics";

const made = new Counter("made");

export const options = {
  scenarios: {
    Writers: { executor: "per-vu-iterations", vus: 2, iterations: 2, exec: "write", tags: { kind: "w" } },
    readers: { executor: "constant-arrival-rate", rate: 20, duration: "1s", preAllocatedVUs: 2, exec: "read", gracefulStop: "0s" },
    a_single: { executor: "shared-iterations", exec: "alone", startTime: "100ms" },
    default: { executor: "shared-iterations", iterations: 2 },
  },
  thresholds: {
    "made{scenario:Writers}": ["count>=4"],
    "made{kind:w}": ["count<4"],
    "iteration_duration{scenario:readers}": ["p(99)<1000", "avg<1000"],
  },
};

export default function () {
  group("of default", () => check(1, { held: () => true }));
}

export function write() {
  made.add(1);
  group("writing", () => {
    group("twice", () => check(1, { held: () => __ITER > 0 }));
  });
}

export function read() {
  group("reading", () => made.add(2));
}

export function alone() {}
