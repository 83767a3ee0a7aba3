// (c) Node on librdkafka: Confluent's own client, its native producer, idempotent, LZ4.

import confluent from '@confluentinc/kafka-javascript';
import WebSocket from 'ws';

import { Mirror, Watch, socketOptions, task } from './mirror.mjs';

const MOST_ON_THE_WAY = 20_000;

const { uri, kafka, topic, frames } = task;
const producer = new confluent.HighLevelProducer({
  'bootstrap.servers': kafka,
  'enable.idempotence': true,
  'compression.type': 'lz4',
  'linger.ms': 5,
  'queue.buffering.max.messages': 100_000,
});
await new Promise((resolve, reject) => {
  producer.connect({}, (error) => (error ? reject(error) : resolve()));
});
const mirror = new Mirror();
const socket = new WebSocket(uri, socketOptions);
let seen = 0;
let sent = 0;
let onTheWay = 0;
let watch;

function delivered(error) {
  if (error) throw error;
  onTheWay -= 1;
  sent += 1;
  if (onTheWay < MOST_ON_THE_WAY / 2) socket.resume();
  endIfDone();
}

function endIfDone() {
  if (seen >= frames && !onTheWay) watch.report(seen, sent);
}

socket.on('open', () => {
  watch = new Watch();
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
