// handleSummary with several files: text, JSON, binary, standard output and error. Fixed: all.
// parity: {"short": true, "exit": 99}
import { Trend } from 'k6/metrics';
const wait = new Trend('wait', true);
export const options = { scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } }, thresholds: { wait: ['p(95)<5', 'max<100'] } };
export function setup() { return { from: 'setup' }; }
export default function () { wait.add(5); }
export function handleSummary(data) {
  return {
    'data.json': JSON.stringify(data),
    'names.txt': Object.keys(data.metrics).filter((name) => !name.startsWith('vus')).sort().join('\n') + '\n',
    'bytes.bin': new Uint8Array([0, 255, 128, 10, 13, 65]).buffer,
    'empty.txt': '',
    stdout: `max ${data.metrics.wait.values.max} of ${data.setup_data.from}\n`,
    stderr: 'to standard error\n',
  };
}
