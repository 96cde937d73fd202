// HTTP to a port where nobody listens: errors of the network. Fixed: all but timings.
import http from 'k6/http';
import { check } from 'k6';
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  thresholds: { http_req_failed: ['rate==1'], 'http_reqs{error_code:1212}': ['count==10'] },
};
export default function () { check(http.get('http://127.0.0.1:1/'), { 'no status': (r) => r.status === 0 }); }
