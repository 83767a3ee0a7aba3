import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Prints each answer of an agent once. */
public final class Answered {
    private static final Pattern FIELD =
            Pattern.compile("\"(event_id|event_type|purpose|agent_id|queue_id)\":\"([^\"]*)\"");

    public static void main(String[] arguments) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", System.getenv("KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("group.id", "answered");
        settings.put("auto.offset.reset", "earliest");
        settings.put("isolation.level", "read_committed");
        try (KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("genesys-interactions"));
            Map<String, Boolean> seen = latest(100_000);
            while (true) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    Map<String, String> event = fields(record.value());
                    if (seen.put(event.get("event_id"), true) != null) {
                        continue; // the other replica's copy
                    }
                    if ("answer".equals(event.get("event_type"))
                            && "agent".equals(event.get("purpose"))) {
                        System.out.println(record.key() + " answered by " + event.get("agent_id"));
                    }
                }
            }
        }
    }

    private static Map<String, String> fields(String json) {
        Map<String, String> found = new LinkedHashMap<>();
        Matcher matcher = FIELD.matcher(json);
        while (matcher.find()) {
            found.putIfAbsent(matcher.group(1), matcher.group(2));
        }
        return found;
    }

    /** A map that forgets its oldest entries, so that it does not grow for ever. */
    private static Map<String, Boolean> latest(int most) {
        return new LinkedHashMap<>() {
            @Override
            protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
                return size() > most;
            }
        };
    }
}
