-- Each event once, in the order of the log: rows are appended.
CREATE TABLE IF NOT EXISTS transitions (
    partition        integer NOT NULL,
    "offset"         bigint NOT NULL,
    conversation_id  text NOT NULL,
    event_type       text NOT NULL,
    occurred_at      timestamptz NOT NULL,
    event            jsonb NOT NULL,
    PRIMARY KEY (partition, "offset")
);

-- The present state of each conversation, one row each.
CREATE TABLE IF NOT EXISTS conversations (
    conversation_id  text PRIMARY KEY,
    state            text NOT NULL,
    queue_id         text,
    started_at       timestamptz,
    ended_at         timestamptz,
    events           integer NOT NULL,
    legs             jsonb NOT NULL
);

-- Where to go on. It moves in the transaction of the rows: no row is missing or there twice.
CREATE TABLE IF NOT EXISTS consumed (
    topic            text NOT NULL,
    partition        integer NOT NULL,
    following        bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE OR REPLACE VIEW queues_now AS
SELECT leg ->> 'queue_id'                                   AS queue_id,
       count(*) FILTER (WHERE leg ->> 'purpose' = 'acd')    AS waiting,
       count(*) FILTER (WHERE leg ->> 'purpose' = 'agent'
                          AND leg ->> 'state' = 'connected') AS talking
FROM conversations, jsonb_array_elements(legs) AS leg
WHERE state = 'active' AND leg ->> 'ended_at' IS NULL
GROUP BY 1;
