import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads what the projector writes: {@code Projected once} or {@code Projected conversations}. */
public final class Projected {
    public static void main(String[] arguments) {
        boolean once = arguments[0].equals("once");
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("group.id", "projected");
        settings.put("isolation.level", "read_committed"); // both are written by transactions
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            if (once) {
                transitions(consumer, setting("MIRROR_ONCE_TOPIC", "genesys-interactions.once"));
            } else {
                views(consumer, setting("MIRROR_CONVERSATIONS_TOPIC", "genesys-conversations"));
            }
        }
    }

    /** Each transition once: nothing to drop, nothing to remember. */
    private static void transitions(KafkaConsumer<String, String> consumer, String topic) {
        consumer.subscribe(List.of(topic));
        while (true) {
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                System.out.println(record.key() + " " + record.value());
            }
            consumer.commitSync();
        }
    }

    /** The state of each conversation: the last record of each key, read from the beginning. */
    private static void views(KafkaConsumer<String, String> consumer, String topic) {
        List<TopicPartition> partitions =
                consumer.partitionsFor(topic).stream()
                        .map(partition -> new TopicPartition(topic, partition.partition()))
                        .toList();
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        Map<String, String> known = new HashMap<>();
        while (true) {
            boolean changed = false;
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(500))) {
                changed = true;
                if (record.value() == null) {
                    known.remove(record.key()); // it ended a day ago
                } else {
                    known.put(record.key(), record.value());
                }
            }
            if (changed) {
                System.out.println(known.size() + " known");
            }
        }
    }

    private static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null ? otherwise : value;
    }
}
