// HTTP against a local target: statuses, names, tags, thresholds on k6's own metrics. Fixed: all but timings.
// parity: {"short": true, "exit": 99}
import http from 'k6/http';
import { check, group } from 'k6';
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 4 } },
  thresholds: {
    http_reqs: ['count==60'],
    http_req_failed: ['rate<0.3', 'rate<=0.33333333333333331'],
    'http_reqs{status:404}': ['count==20'],
    'http_reqs{name:home}': ['count==20'],
    'http_req_duration{expected_response:true}': ['p(95)<5000'],
    'http_req_duration{group:::api}': ['max<5000'],
    'http_req_failed{expected_response:false}': ['rate==1'],
  },
};
export default function () {
  check(http.get(`${__ENV.TARGET}/`, { tags: { name: 'home' } }), { 'home is there': (r) => r.status === 200 });
  group('api', () => {
    const echoed = http.post(`${__ENV.TARGET}/post`, JSON.stringify({ a: 1 }), { headers: { 'Content-Type': 'application/json' } });
    check(echoed, { 'is echoed': (r) => r.json().json.a === 1 });
  });
  http.get(`${__ENV.TARGET}/status/404`);
}
