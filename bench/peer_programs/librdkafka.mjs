// (c) Node on librdkafka: Confluent's own client, its native producer, idempotent, LZ4.
//   node librdkafka.mjs URI BOOTSTRAP TOPIC FRAMES

import confluent from '@confluentinc/kafka-javascript';
import WebSocket from 'ws';

import { Mirror, report } from './mirror.mjs';

const MOST_ON_THE_WAY = 20_000;

const [uri, bootstrap, topic, frames] = process.argv.slice(2);
const producer = new confluent.HighLevelProducer({
  'bootstrap.servers': bootstrap,
  'enable.idempotence': true,
  'compression.type': 'lz4',
  'linger.ms': 5,
  'queue.buffering.max.messages': 100_000,
});
await new Promise((resolve, reject) => {
  producer.connect({}, (error) => (error ? reject(error) : resolve()));
});
const mirror = new Mirror();
const socket = new WebSocket(uri);
let seen = 0;
let sent = 0;
let onTheWay = 0;
let startedAt;
let startedCpu;

function delivered(error) {
  if (error) throw error;
  onTheWay -= 1;
  sent += 1;
  if (onTheWay < MOST_ON_THE_WAY / 2) socket.resume();
  endIfDone();
}

function endIfDone() {
  if (seen > Number(frames) && !onTheWay) report(seen - 1, sent, startedAt, startedCpu);
}

socket.on('open', () => {
  startedAt = performance.now();
  startedCpu = process.cpuUsage();
  socket.send('x');
});

socket.on('message', (data) => {
  seen += 1;
  for (const [key, value] of mirror.records(data.toString())) {
    onTheWay += 1;
    producer.produce(topic, null, Buffer.from(value), key, Date.now(), delivered);
  }
  if (onTheWay > MOST_ON_THE_WAY) socket.pause();
  endIfDone();
});
