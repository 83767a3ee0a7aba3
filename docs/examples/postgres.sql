CREATE TABLE IF NOT EXISTS interaction_events (
    event_id         text PRIMARY KEY,
    event_type       text NOT NULL,
    conversation_id  text NOT NULL,
    participant_id   text,
    media_type       text,
    communication_id text,
    purpose          text,
    agent_id         text,
    queue_id         text,
    direction        text,
    state            text NOT NULL,
    disconnect_type  text,
    wrapup_code      text,
    occurred_at      timestamptz NOT NULL,
    estimated        boolean NOT NULL,
    received_at      timestamptz NOT NULL,
    origin           text NOT NULL
);

CREATE INDEX IF NOT EXISTS interaction_events_by_conversation
    ON interaction_events (conversation_id, occurred_at);

-- A leg a row: who, where, from when to when.
CREATE OR REPLACE VIEW interaction_legs AS
SELECT conversation_id,
       participant_id,
       media_type,
       max(purpose)                                                   AS purpose,
       max(agent_id)                                                  AS agent_id,
       max(queue_id)                                                  AS queue_id,
       min(occurred_at) FILTER (WHERE event_type = 'alert')           AS alerted_at,
       min(occurred_at) FILTER (WHERE event_type = 'answer')          AS answered_at,
       max(occurred_at) FILTER (WHERE event_type = 'disconnect')      AS ended_at,
       max(wrapup_code)                                               AS wrapup_code
FROM interaction_events
WHERE participant_id IS NOT NULL
GROUP BY conversation_id, participant_id, media_type;

-- How long those who reached an agent had waited in the queue, by the quarter of an hour.
CREATE OR REPLACE VIEW queue_quarter_hours AS
SELECT waiting.queue_id,
       date_bin('15 minutes', waiting.answered_at, 'epoch')           AS quarter_hour,
       count(*)                                                       AS offered,
       count(agent.answered_at)                                       AS answered,
       avg(agent.answered_at - waiting.answered_at)                   AS average_wait,
       count(*) FILTER (WHERE agent.answered_at - waiting.answered_at <= interval '20 seconds')
           ::float / nullif(count(*), 0)                              AS service_level
FROM interaction_legs AS waiting
LEFT JOIN LATERAL (
    SELECT min(answered_at) AS answered_at
    FROM interaction_legs
    WHERE conversation_id = waiting.conversation_id
      AND purpose = 'agent' AND queue_id = waiting.queue_id
) AS agent ON true
WHERE waiting.purpose = 'acd' AND waiting.answered_at IS NOT NULL
GROUP BY 1, 2;
