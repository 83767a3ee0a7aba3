// (b) The same, tuned: batches of up to a thousand records, several on their way, LZ4, a key.

import kafkajs from 'kafkajs';
import LZ4 from 'kafkajs-lz4';
import WebSocket from 'ws';

import { Mirror, Watch, socketOptions, task } from './mirror.mjs';

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec;

const BATCH = 1000;
const LINGER_MS = 5;
const MOST_ON_THE_WAY = 20_000;

const { uri, kafka, topic, frames } = task;
const producer = new Kafka({ brokers: [kafka], logLevel: logLevel.ERROR })
  .producer({ maxInFlightRequests: 5 });
await producer.connect();
const mirror = new Mirror();
const socket = new WebSocket(uri, socketOptions);
let seen = 0;
let sent = 0;
let onTheWay = 0;
let batch = [];
let timer = null;
let watch;

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
  if (seen >= frames && !onTheWay && !batch.length) {
    watch.report(seen, sent);
  }
}

socket.on('open', () => {
  watch = new Watch();
  socket.send('x');
});

socket.on('message', (data) => {
  seen += 1;
  for (const [key, value] of mirror.records(data.toString())) batch.push({ key, value });
  if (batch.length >= BATCH || seen >= frames) flush();
  else timer ??= setTimeout(flush, LINGER_MS);
  endIfDone();
});
