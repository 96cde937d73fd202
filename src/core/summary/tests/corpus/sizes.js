import http from "k6/http";

export const options = { iterations: 3, summaryTrendStats: ["count"] };

export default function () {
  const bodies = [1, 5000, 3e6];
  http.post(`${__ENV.TARGET}/found`, "x".repeat(bodies[__ITER]));
}
