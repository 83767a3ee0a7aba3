// Prints each answer of an agent once.  npm install kafkajs kafkajs-lz4 && node consume.mjs
import kafkajs from "kafkajs";
import LZ4 from "kafkajs-lz4";

const { CompressionCodecs, CompressionTypes, Kafka } = kafkajs;
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec; // the mirror compresses with LZ4

const MOST = 100_000;
const kafka = new Kafka({ brokers: process.env.KAFKA_BOOTSTRAP_SERVERS.split(",") });
const consumer = kafka.consumer({ groupId: "answered" });
const seen = new Set();

await consumer.connect();
await consumer.subscribe({ topic: "genesys-interactions", fromBeginning: true });
await consumer.run({
  eachMessage: async ({ message }) => {
    const event = JSON.parse(message.value.toString());
    if (seen.has(event.event_id)) return; // the other replica's copy
    seen.add(event.event_id);
    if (seen.size > MOST) seen.delete(seen.values().next().value); // the oldest
    if (event.event_type === "answer" && event.purpose === "agent") {
      console.log(`${event.conversation_id} answered by ${event.agent_id}`);
    }
  },
});
