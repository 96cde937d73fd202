// A script without options: the load comes from flags. Fixed: all.
// parity: {"args": ["-u", "5", "-i", "12"]}
import { Counter } from 'k6/metrics';
const hits = new Counter('hits');
export default function () { hits.add(1); }
