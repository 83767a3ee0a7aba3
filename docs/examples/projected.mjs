// What the projector writes.  npm install kafkajs kafkajs-lz4
//   node projected.mjs once            each transition, once
//   node projected.mjs conversations   how each conversation is
// kafkajs reads only committed records by default.
import kafkajs from "kafkajs";
import LZ4 from "kafkajs-lz4";

const { CompressionCodecs, CompressionTypes, Kafka } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec; // the mirror compresses with LZ4

const once = process.argv[2] === "once";
const topic = once
  ? process.env.MIRROR_ONCE_TOPIC ?? "genesys-interactions.once"
  : process.env.MIRROR_CONVERSATIONS_TOPIC ?? "genesys-conversations";
const kafka = new Kafka({ brokers: process.env.KAFKA_BOOTSTRAP_SERVERS.split(",") });
// A wallboard reads from the beginning at each start, so it takes a new group each time.
const consumer = kafka.consumer({ groupId: once ? "transitions" : `wallboard-${Date.now()}` });
const known = new Map();

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachBatch: async ({ batch, resolveOffset, heartbeat }) => {
    for (const { key, value, offset } of batch.messages) {
      if (once) {
        const event = JSON.parse(value);
        console.log(event.occurred_at, event.conversation_id, event.event_type);
      } else if (value === null) {
        known.delete(key.toString()); // it ended a day ago
      } else {
        known.set(key.toString(), JSON.parse(value));
      }
      resolveOffset(offset);
    }
    if (!once) {
      const active = [...known.values()].filter((view) => view.state === "active");
      console.log(`${active.length} active, ${known.size} known`);
    }
    await heartbeat();
  },
});
