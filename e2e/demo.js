// The demo's load: a few requests to the small target that `make demo` starts, and a metric of its own.
import http from 'k6/http';
import { check, sleep } from 'k6';
import { Counter } from 'k6/metrics';

const orders = new Counter('orders');

export const options = {
  scenarios: {
    browse: { executor: 'shared-iterations', vus: 8, iterations: 80, maxDuration: '60s' },
  },
  tags: { shop: 'demo' },
};

export default function () {
  const answer = http.get(`${__ENV.BASE_URL}/`);
  check(answer, { 'status is 200': (r) => r.status === 200 });
  orders.add(1);
  sleep(0.1);
}
