// -u and -d over the script's own iterations. Fixed: vus_max.
// parity: {"alone": true, "args": ["-u", "5", "-d", "2s"], "free": ["iterations", "hits", "vus"]}
import { Counter } from 'k6/metrics';
import { sleep } from 'k6';
const hits = new Counter('hits');
export const options = { vus: 1, iterations: 1000 };
export default function () { hits.add(1); sleep(0.25); }
