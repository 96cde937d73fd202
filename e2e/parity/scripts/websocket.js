// WebSockets: 3 messages there and back in each of 10 sessions. Fixed: all but timings, and whether the last close is heard.
// parity: {"free": ["data_received"]}
import ws from 'k6/ws';
import { check } from 'k6';
import { Counter } from 'k6/metrics';
const echoed = new Counter('echoed');
export const options = {
  scenarios: { each: { executor: 'per-vu-iterations', vus: 5, iterations: 2 } },
  thresholds: { ws_sessions: ['count==10'], ws_msgs_sent: ['count==30'], 'ws_msgs_received{kind:echo}': ['count==30'], echoed: ['count==30'] },
};
export default function () {
  const url = `${__ENV.TARGET.replace('http', 'ws')}/echo`;
  const answer = ws.connect(url, { tags: { kind: 'echo', name: 'echo' } }, (socket) => {
    let heard = 0;
    socket.on('open', () => socket.send('0'));
    socket.on('message', (text) => {
      echoed.add(1);
      heard += 1;
      if (heard < 3) { socket.send(`${heard}`); } else { socket.close(); }
    });
  });
  check(answer, { 'status is 101': (r) => r && r.status === 101 });
}
