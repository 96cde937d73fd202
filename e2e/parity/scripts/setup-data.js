// setup() once, its data in every VU and in teardown(). Fixed: all; each part is counted at the target and by metrics.
// parity: {"short": true}
import http from 'k6/http';
import { check } from 'k6';
import { Counter } from 'k6/metrics';
const setups = new Counter('setups'), teardowns = new Counter('teardowns');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 3 } },
  thresholds: { setups: ['count==1'], teardowns: ['count==1'], 'http_reqs{group:::setup}': ['count==1'], 'http_reqs{group:::teardown}': ['count==1'] },
};
const count = (name) => http.get(`${__ENV.TARGET}/count/${__ENV.RUN}/${name}`, { tags: { name } });
export function setup() {
  setups.add(1);
  count('setup');
  console.log('in setup');
  return { list: [1, 2.5, null, 'ü'], nested: { deep: { yes: true } }, empty: {}, text: 'a "quoted"\nline' };
}
export default function (data) {
  check(data, {
    'list is whole': (d) => d.list.length === 4 && d.list[3] === 'ü',
    'nested is whole': (d) => d.nested.deep.yes === true,
    'text is whole': (d) => d.text === 'a "quoted"\nline',
  });
  count('iteration');
}
export function teardown(data) {
  teardowns.add(1);
  check(data, { 'teardown sees it': (d) => d.nested.deep.yes === true });
  count('teardown');
  console.log(`in teardown, with ${data.list[1]}`);
}
