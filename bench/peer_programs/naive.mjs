// (a) The script of the tutorials: `ws`, `kafkajs`, and an awaited send for every record.
// Frames of one conversation must not overtake each other, so they are worked off one by one.

import { Kafka, logLevel } from 'kafkajs';
import WebSocket from 'ws';

import { Mirror, Watch, socketOptions, task } from './mirror.mjs';

const { uri, kafka, topic, frames } = task;
const producer = new Kafka({ brokers: [kafka], logLevel: logLevel.ERROR }).producer();
await producer.connect();
const mirror = new Mirror();
let seen = 0;
let sent = 0;
let work = Promise.resolve();
const socket = new WebSocket(uri, socketOptions);
let watch;

socket.on('open', () => {
  watch = new Watch();
  socket.send('x');
});

// A WebSocket in Node has no brake but pausing: without it the backlog grows without bound.
const MOST_WAITING = 1000;
let waiting = 0;

async function take(text) {
  for (const [key, value] of mirror.records(text)) {
    await producer.send({ topic, messages: [{ key, value }] });
    sent += 1;
  }
  waiting -= 1;
  if (waiting < MOST_WAITING / 2) socket.resume();
}

socket.on('message', (data) => {
  const text = data.toString();
  seen += 1;
  waiting += 1;
  if (waiting > MOST_WAITING) socket.pause();
  work = work.then(() => take(text));
  if (seen >= frames) work.then(() => watch.report(seen, sent));
});
