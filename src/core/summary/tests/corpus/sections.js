import { Counter, Gauge, Rate, Trend } from "k6/metrics";

// k6 shows a metric by how its name begins.
const counters = ["browser_http", "grpc_streams", "ws_sessions_of_mine", "http_reqs_of_mine", "checks_of_mine", "vus_of_mine"];
const made = counters.map((name) => new Counter(name));
const vital = new Trend("browser_web_vital_lcp", true);
const rate = new Rate("data_sent_well");
const sent = new Gauge("http_req_sending_of_mine", true);
const group = new Counter("group_duration_of_mine");

export const options = { iterations: 2, summaryTrendStats: ["max", "count"] };

export default function () {
  made.forEach((counter) => counter.add(2));
  vital.add(1.5);
  rate.add(true);
  sent.add(4);
  group.add(1);
}
