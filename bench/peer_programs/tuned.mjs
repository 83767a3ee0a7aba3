// (b) The same, tuned: batches of up to a thousand records, several on their way, LZ4, a key.
//   node tuned.mjs URI BOOTSTRAP TOPIC FRAMES

import kafkajs from 'kafkajs';
import LZ4 from 'kafkajs-lz4';
import WebSocket from 'ws';

import { Mirror, report } from './mirror.mjs';

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec;

const BATCH = 1000;
const LINGER_MS = 5;
const MOST_ON_THE_WAY = 20_000;

const [uri, bootstrap, topic, frames] = process.argv.slice(2);
const producer = new Kafka({ brokers: [bootstrap], logLevel: logLevel.ERROR })
  .producer({ maxInFlightRequests: 5 });
await producer.connect();
const mirror = new Mirror();
const socket = new WebSocket(uri);
let seen = 0;
let sent = 0;
let onTheWay = 0;
let batch = [];
let timer = null;
let startedAt;
let startedCpu;

function flush() {
  clearTimeout(timer);
  timer = null;
  if (!batch.length) return;
  const messages = batch;
  batch = [];
  onTheWay += messages.length;
  if (onTheWay > MOST_ON_THE_WAY) socket.pause();
  producer.send({ topic, messages, compression: CompressionTypes.LZ4, acks: -1 }).then(() => {
    onTheWay -= messages.length;
    sent += messages.length;
    if (onTheWay < MOST_ON_THE_WAY / 2) socket.resume();
    endIfDone();
  });
}

function endIfDone() {
  if (seen > Number(frames) && !onTheWay && !batch.length) {
    report(seen - 1, sent, startedAt, startedCpu);
  }
}

socket.on('open', () => {
  startedAt = performance.now();
  startedCpu = process.cpuUsage();
  socket.send('x');
});

socket.on('message', (data) => {
  seen += 1;
  for (const [key, value] of mirror.records(data.toString())) batch.push({ key, value });
  if (batch.length >= BATCH || seen > Number(frames)) flush();
  else timer ??= setTimeout(flush, LINGER_MS);
  endIfDone();
});
