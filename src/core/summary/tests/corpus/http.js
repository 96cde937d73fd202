import http from "k6/http";
import { check, group } from "k6";

export const options = {
  vus: 2,
  iterations: 12,
  summaryTrendStats: ["avg", "p(90)", "p(99.99)", "count", "max"],
  thresholds: {
    http_req_duration: ["p(95)<1000"],
    "http_req_duration{status:404}": ["p(99) < 1000", "max<0"],
    "http_req_failed{expected_response:true}": ["rate==0"],
    http_req_failed: ["rate<0.2"],
    http_reqs: ["count===24"],
    "group_duration{group:::pages}": ["avg<1000"],
  },
};

export default function () {
  const found = http.get(`${__ENV.TARGET}/found`, { tags: { name: "found" } });
  check(found, { found: (r) => r.status === 200 });
  group("pages", () => {
    const missing = http.get(`${__ENV.TARGET}/missing`);
    check(missing, { missing: (r) => r.status === 404 });
  });
}
