// Each iteration counts itself at the target, once, whoever runs it. Fixed: all but timings.
// parity: {"short": true}
import http from 'k6/http';
export const options = { scenarios: { shared: { executor: 'shared-iterations', vus: 5, iterations: 23 } }, thresholds: { http_reqs: ['count==23'] } };
export default function () { http.get(`${__ENV.TARGET}/count/${__ENV.RUN}/iteration`, { tags: { name: 'count' } }); }
