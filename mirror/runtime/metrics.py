"""All metrics: their names, kinds, labels and meanings, in one place.

Names follow Prometheus: prefix `mirror_`, base units, `_total` for counters. Labels are bounded:
never a conversation, a user, a topic or a channel. Processes make their metrics from these tables
(`counter`, `gauge`, `Numbers`, `States`), and docs/metrics.md is generated from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mirror.genesys.timing import KINDS, OUTCOMES

Kind = Literal["counter", "gauge", "histogram"]


class Described(msgspec.Struct, frozen=True):
    """A metric's name, kind and meaning, and the values that each of its labels may have."""

    name: str
    kind: Kind
    help: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()


def _counter(name: str, text: str, **labels: tuple[str, ...]) -> Described:
    return Described(f"mirror_{name}_total", "counter", text, tuple(labels.items()))


def _gauge(name: str, text: str, **labels: tuple[str, ...]) -> Described:
    return Described(f"mirror_{name}", "gauge", text, tuple(labels.items()))


def _histogram(name: str, text: str, **labels: tuple[str, ...]) -> Described:
    return Described(f"mirror_{name}", "histogram", text, tuple(labels.items()))


# Every process.
HEALTH: Final = _gauge(
    "health", "1 for the state that this process is in.", state=("ok", "degraded", "down")
)
LOG_DROPPED: Final = _counter("log_lines_dropped", "Log lines that stderr did not accept.")
BUILD: Final = _gauge("build_info", "1; its label names the version that runs.", version=("…",))


NATIVE: Final = _gauge(
    "native_info",
    "1 if the native reader reads; its label names the version.",
    version=("…",),
)

# Field of a listener's counters → metric.
LISTENER: Final[Mapping[str, Described]] = {
    "frames": _counter("frames", "Frames read from sockets."),
    "bytes": _counter("received_bytes", "Bytes read from sockets."),
    "heartbeats": _counter("heartbeats", "Heartbeats and pongs read."),
    "system_frames": _counter("system_frames", "System messages read."),
    "unknown_frames": _counter("unknown_frames", "Frames of topics that are not known."),
    "unknown_media": _counter(
        "unknown_media_frames", "Frames with a medium that this version does not know."
    ),
    "events": _counter("events", "Events of interactions."),
    "agent_events": _counter("agent_events", "States of agents."),
    "dead_letters": _counter("dead_letters", "Dead letters."),
    "produced": _counter("records_accepted", "Records handed to the publisher."),
    "delivered": _counter("records_delivered", "Records that Kafka acknowledged."),
    "failed": _counter("delivery_failures", "Deliveries that failed; their records are spooled."),
    "rejected": _counter("records_refused", "Records that Kafka refused for good."),
    "lost": _counter("records_lost", "Records that neither Kafka nor the spool took."),
    "spooled": _counter("records_spooled", "Records written to the spool."),
    "spool_records": _gauge("spool_records", "Records in the spool."),
    "spool_bytes": _gauge("spool_bytes", "Bytes in the spool."),
    "held": _gauge(
        "spool_records_in_memory", "Records in memory because the spool's disk refuses them."
    ),
    "spools_damaged": _counter("spools_damaged", "Damaged spools that were set aside."),
    "spool_lost": _counter("spool_records_missing", "Records that damaged spools no longer had."),
    "lanes_waiting": _gauge("spool_partitions", "Partitions with records in the spool."),
    "outages": _counter("spool_failovers", "Times the publisher switched to the spool."),
    "connects": _counter("connects", "Sockets opened."),
    "reconnects": _counter("reconnects", "Sockets opened again on a channel that had one."),
    "rotations": _counter("rotations", "Channels that a successor replaced."),
    "protocol_errors": _counter(
        "protocol_errors", "Sockets closed because the peer violated RFC 6455."
    ),
    "read_seconds": _counter("loop_busy_seconds", "Time spent reading, normalising, producing."),
    "native_frames": _counter("native_frames", "Frames that the native reader read."),
    "native_failures": _counter(
        "native_failures", "Frames at which the native reader failed; Python read them."
    ),
    "native_shadowed": _counter(
        "native_shadowed_frames", "Frames that both the native reader and Python read."
    ),
    "native_differences": _counter("native_differences", "Shadowed frames whose records differed."),
    "slow": _counter("loop_slow_passes", "Passes of the loop that took longer than 100 ms."),
    "stalls": _counter("loop_stalls", "Passes of the loop that took longer than a second."),
}
CHANNELS: Final = _gauge(
    "channels",
    "Channels held, by state.",
    state=("opening", "live", "rotating", "closing", "lost"),
)
SPOOL_LIMIT: Final = _gauge("spool_limit_bytes", "The most bytes that the spool may take.")
LATENCY: Final = _histogram(
    "event_latency_seconds",
    "Time until Kafka acknowledged an event. `read`: from the last byte of its frame, for all "
    "events, to 10 ms, as if partitions acknowledged in order; records from the spool are sampled. "
    "`occurred`: from Genesys' time, by our clock, for a sample of the events that have one.",
    since=("read", "occurred"),
)
UNSAVED_AGE: Final = _gauge(
    "unsaved_seconds", "Age of the oldest record that is not known to be in Kafka or on disk."
)
LAST_FRAME: Final = _gauge(
    "shard_last_frame_age_seconds",
    "Seconds since a frame or heartbeat was last read on any channel of the shard.",
    shard=("…",),
)
DEAD_SHARE: Final = _gauge(
    "dead_letter_share", "Share of the last minute's frames that became dead letters, 0 to 1."
)

# Of every process that calls Genesys.
REQUESTS: Final = _histogram(
    "genesys_request_seconds",
    "How long requests to Genesys took, by what they ask for and how they ended; `limited` is 429, "
    "`no_answer` a time-out or a lost connection. The wait for the request budget does not count.",
    kind=KINDS,
    outcome=OUTCOMES,
)
TOKEN_LEFT: Final = _gauge(
    "genesys_token_expires_seconds",
    "Life left of the token that ends first; no value while there is no token. A token is renewed "
    "at its first use in the last quarter of its life.",
)
GENESYS: Final = (REQUESTS, TOKEN_LEFT)

# Of a coordinator. Only the leader reports the fleet; the other coordinators report 0.
LEADER: Final = _gauge("leader", "1 while this coordinator leads.")
SHARDS: Final = _gauge("shards", "Shards of topics.")
TOPICS: Final = _gauge("topics", "Topics in all shards.")
LISTENERS_ALIVE: Final = _gauge("listeners_alive", "Listeners whose beats arrive.")
SEATS_UNASSIGNED: Final = _gauge("seats_unassigned", "Replicas assigned to no listener.")
TOPICS_REJECTED: Final = _gauge("topics_rejected", "Topics that Genesys refuses.")
TOPICS_GONE: Final = _gauge(
    "topics_gone",
    "Topics that were mirrored and that Genesys no longer lists; each counts for an hour.",
)
GAPS_OPEN: Final = _gauge(
    "gaps_open",
    "Gaps of the ledger that are still to be filled, without those filed by hand.",
)
CONVERSATIONS: Final = _gauge(
    "conversations", "Conversations that are active or overdue.", state=("active", "overdue")
)
GAPS_FILED: Final = _counter(
    "gaps_filed",
    "Gaps found; a snapshot is the first gap of a new topic.",
    kind=("gap", "snapshot"),
)
SEAT_CHANGES: Final = _counter(
    "seat_changes",
    "Changes of seats. `moving`: a handover started; `revoked`: its listener died.",
    change=("granted", "moving", "moved", "revoked", "abandoned"),
)
OLDEST_DUE: Final = _gauge(
    "conversations_oldest_due_seconds",
    "For how long the longest overdue conversation has been due.",
)
PASS_SECONDS: Final = _histogram("pass_seconds", "How long the leader's passes took.")
COORDINATOR: Final = (
    LEADER,
    SHARDS,
    TOPICS,
    LISTENERS_ALIVE,
    SEATS_UNASSIGNED,
    TOPICS_REJECTED,
    TOPICS_GONE,
    GAPS_OPEN,
    CONVERSATIONS,
    OLDEST_DUE,
    GAPS_FILED,
    SEAT_CHANGES,
    PASS_SECONDS,
)

# Attribute of a coordinator's tracker → metric; each coordinator reports its own partitions.
TRACKER: Final[Mapping[str, Described]] = {
    "events": _counter("tracker_events", "Events folded, including repeats."),
    "batches": _counter("tracker_batches", "Batches written, each of one partition."),
    "unreadable": _counter("tracker_unreadable", "Records that are not events, and are skipped."),
    "rebuilds": _counter("tracker_rebuilds", "Partitions folded again, as after a flush of Redis."),
    "conflicts": _counter(
        "tracker_conflicts", "Batches abandoned because another tracker had moved the offset."
    ),
    "lag": _gauge("tracker_lag_records", "Records of its own partitions that are not folded yet."),
    "lag_seconds": _gauge(
        "tracker_lag_seconds",
        "Age of the oldest known record of its own partitions that is not folded yet.",
    ),
    "caught_up": _gauge("tracker_caught_up", "1 while all of its own partitions are folded."),
}

VERIFIED: Final = _counter(
    "janitor_conversations_verified",
    "Overdue conversations, by the outcome of their verification.",
    outcome=("finalized", "active", "ended_meanwhile", "failed", "doubted", "held"),
)
GAPS_FILLED: Final = _counter("janitor_gaps_filled", "Gaps that this process filled.")
CALLS: Final = _counter("janitor_genesys_calls", "REST calls made for zombies and gaps.")
BACKFILLED: Final = _counter(
    "janitor_conversations_backfilled", "Conversations read for gaps and produced."
)
BACKFILLED_EVENTS: Final = _counter("janitor_backfilled_events", "Events produced for gaps.")
UNREAD: Final = _counter(
    "janitor_conversations_unread",
    "Times that a conversation of a gap could not be read, which keeps the gap open.",
    reason=(
        *("refused", "forgotten", "strange", "failed", "too_many", "repeated", "incomplete"),
        "partition",
    ),
)
BURIED: Final = _counter("janitor_dead_letters", "Records that Kafka refused for good.")
JANITOR: Final = (VERIFIED, GAPS_FILLED, CALLS, BACKFILLED, BACKFILLED_EVENTS, UNREAD, BURIED)

# Attribute of a dashboard's metrics → metric.
DASHBOARD: Final[Mapping[str, Described]] = {
    "streams": _gauge("dashboard_streams", "Browsers that are connected."),
    "cut": _counter(
        "dashboard_streams_cut", "Streams that were closed because they did not keep up."
    ),
    "sent": _counter("dashboard_messages", "Messages sent to streams."),
    "events": _counter("dashboard_events", "Events, repeats dropped."),
    "repeats": _counter("dashboard_repeats", "Events seen before."),
    "conversations": _gauge("dashboard_conversations", "Conversations with a live leg."),
    "unreadable": _counter("dashboard_unreadable", "Records that are not events."),
    "from_views": _gauge(
        "dashboard_opened_from_conversations",
        "1 if the floor began with the projector's conversations, 0 if it was folded from events.",
    ),
    "opened_in": _gauge(
        "dashboard_opening_seconds", "How long the opening of the floor took; 0 until it is open."
    ),
}

# Attribute of a projector's loop → metric; each projector reports its own partitions.
PROJECTOR: Final[Mapping[str, Described]] = {
    "events": _counter("projector_events", "Events written to the once topic."),
    "repeats": _counter("projector_repeats", "Copies of events, which are not written."),
    "unreadable": _counter("projector_unreadable", "Records that are not events, and are skipped."),
    "views": _counter("projector_views", "Views of conversations written."),
    "tombstones": _counter("projector_tombstones", "Conversations whose grace was over."),
    "shortened": _counter(
        "projector_views_shortened", "Views that were too large for Kafka and were shortened."
    ),
    "refused": _counter(
        "projector_records_refused",
        "Records that were left out because Kafka refuses them for good.",
    ),
    "transactions": _counter("projector_transactions", "Transactions committed."),
    "aborted": _counter(
        "projector_transactions_aborted", "Transactions aborted; their work is done again."
    ),
    "fenced": _counter(
        "projector_transactions_fenced",
        "Aborted transactions that were refused because another projector has the partitions.",
    ),
}
# Attribute of what its part of the partitions is → metric.
PROJECTOR_SHARE: Final[Mapping[str, Described]] = {
    "restored": _counter("projector_records_restored", "Views read back from Kafka."),
    "missed": _counter(
        "projector_records_missed", "Records that Kafka deleted before they were projected."
    ),
    "lag": _gauge(
        "projector_lag_seconds", "How long the oldest record that is not projected yet has waited."
    ),
    "partitions": _gauge("projector_partitions", "Own partitions."),
    "waiting": _gauge("projector_partitions_waiting", "Own partitions that are not projected."),
    "conversations": _gauge("projector_conversations", "Conversations of own partitions."),
}

# Heading of docs/metrics.md → the metrics below it.
ALL: Final[Mapping[str, tuple[Described, ...]]] = {
    "Every process": (HEALTH, BUILD, LOG_DROPPED),
    "Listener, coordinator and janitor": GENESYS,
    "Listener": (
        *LISTENER.values(),
        CHANNELS,
        SPOOL_LIMIT,
        LATENCY,
        UNSAVED_AGE,
        LAST_FRAME,
        DEAD_SHARE,
        NATIVE,
    ),
    "Coordinator": (*COORDINATOR, *TRACKER.values()),
    "Janitor": JANITOR,
    "Dashboard": tuple(DASHBOARD.values()),
    "Projector": (*PROJECTOR.values(), *PROJECTOR_SHARE.values()),
}


def counter(metric: Described, registry: CollectorRegistry) -> Counter:
    """A counter that the caller increases; all known labels begin at zero."""
    made = Counter(metric.name, metric.help, [name for name, _ in metric.labels], registry=registry)
    _begin(made, metric)
    return made


def gauge(metric: Described, registry: CollectorRegistry) -> Gauge:
    """A gauge that the caller sets."""
    made = Gauge(metric.name, metric.help, [name for name, _ in metric.labels], registry=registry)
    _begin(made, metric)
    return made


def _begin(made: Counter | Gauge, metric: Described) -> None:
    """Create all series at zero, so that a rate includes the first increase."""
    if len(metric.labels) == 1:
        for value in metric.labels[0][1]:
            if value != "…":
                made.labels(value)


class Numbers(Collector):
    """Exports numbers that are kept elsewhere, with their values when Prometheus asks."""

    def __init__(self, metrics: Mapping[str, Described], source: object) -> None:
        """`source` has each key of `metrics` as an attribute."""
        self._metrics = metrics
        self._source = source

    def collect(self) -> Iterable[Metric]:
        """One sample of each."""
        for field, metric in self._metrics.items():
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            yield family(metric.name, metric.help, value=getattr(self._source, field))


class Counts(Collector):
    """Exports counts that are kept elsewhere, by the values of a metric's one label."""

    def __init__(self, metric: Described, count: Callable[[], Mapping[str, int]]) -> None:
        """Values that `count` does not have are 0, so that every series exists from the start."""
        self._metric = metric
        self._count = count

    def collect(self) -> Iterable[Metric]:
        """One sample per value of the label."""
        ((label, values),) = self._metric.labels
        counts = self._count()
        family = CounterMetricFamily(self._metric.name, self._metric.help, labels=[label])
        for value in values:
            family.add_metric([value], counts.get(value, 0))
        yield family


class States(Collector):
    """Exports the number of things in each state."""

    def __init__(self, metric: Described, count: Callable[[], Mapping[str, int]]) -> None:
        """`count` returns all possible states, so that no series vanishes when it is empty."""
        self._metric = metric
        self._count = count

    def collect(self) -> Iterable[Metric]:
        """One sample per state."""
        family = GaugeMetricFamily(self._metric.name, self._metric.help, labels=["state"])
        for state, number in self._count().items():
            family.add_metric([state], number)
        yield family
