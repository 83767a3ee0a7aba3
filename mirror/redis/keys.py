"""All Redis keys, in one place. No other module spells a key.

All keys of a mirror start with `mirror:{<namespace>}:`; the braces are a Redis Cluster hash tag,
so that a script may touch several of them. Times are Redis milliseconds.

    leader                 string   token of the leading coordinator, with a time to live
    leader:fence           string   counter, raised at each election, never deleted
    beats                  zset     listener id → time of its last beat
    listener:<id>          string   `mirror.fleet.words.Beat`, JSON
    assignment:<listener>  string   `mirror.fleet.words.Assignment`, JSON
    shard:<id>             string   `mirror.fleet.words.Shard`, JSON
    shards                 hash     shard id → its epoch
    seats                  string   the leader's own record of who holds which seat, JSON
    released               hash     `<shard>/<replica>` → `mirror.fleet.words.Released`, JSON
    channels:<client>      zset     channel reservations of an OAuth client → when each lapses
    probe:<client>         string   the channel that `mirror doctor` opens, a
                                    `mirror.genesys.handles.Handle`, JSON; expires with it
    probing:<client>       zset     whose turn it is to open that channel → when the turn lapses
    rate:<client>          string   GCRA: theoretical arrival time of the next request
    rate:<client>:janitor  string   the same for the part of it that all janitors share
    rejected               hash     topic → why Genesys refuses it
    uncovered              hash     shard id that nobody receives now →
                                    `mirror.fleet.gaps.OngoingGap`, JSON
    problems               hash     seat that cannot be placed, or does not serve → why
    discovery              hash     what discovery has to say, a line each → `REASON`, `NOTE` or
                                    `CAUSE`
    names                  string   digest of all names below, as the leader stored them last
    names:<family>:<slice> hash     id of a mirrored queue or user → its name; `family` is `queues`
                                    or `users`, `slice` of the id by `mirror.fleet.names`. A
                                    person's name is hashed or left out as `MIRROR_PII` says
    departed               string   topic that could not be seen any more → until when it was
                                    received, JSON
    coverage               hash     shard id → until when it is covered, and its topics' epochs
    gaps                   zset     gap id → when it may next be claimed, +inf when it is done
    gap:<id>               string   `mirror.fleet.gaps.Gap`, JSON; expires some days after it is
                                    done
    gap:<id>:read          set      ids of the conversations read for a gap under way
                                    (`janitor.gaps.marks`)
    readings               zset     conversation id → time before which its history has been read
                                    for any gap; those of the last hour
    workers                hash     `tracker/<coordinator>`, `janitor/<process>` →
                                    `mirror.fleet.workers.Worker`, JSON
    waiting                hash     `<program>/<host>/<process id>` →
                                    `mirror.fleet.waiting.Wait`, JSON, while it waits at its start
    partitions             hash     Kafka topic → over how many partitions its keys are spread
                                    (`mirror.fleet.pinned`)
    passed                 string   time of the leader's last pass
    commands               hash     operator's request → time it was made: `drain:<listener>`,
                                    `rotate:<shard>/<replica>`, `rebalance`
                                    (`mirror.fleet.requests`)
    active                 zset     conversation id → time it is next due for verification
    doubted                zset     conversation id → since when Genesys says that it does not know
                                    it and is not believed
    failing                zset     conversation id → since when Genesys gives no answer on it
                                    that counts
    conversation:<id>      string   the fold of one conversation: `mirror.fleet.tracked.Tracked`, a
                                    JSON
                                    array
    offsets:<form>:<topic> hash     partition → offset of the next record to fold, by trackers that
                                    write that form of `mirror.fleet.tracked.Tracked`;
                                    `behind:<partition>` → 1 while newer records are known to wait;
                                    `beat` → time of a tracker's last beat
    doctor:text            string   written by the check of rights (`mirror.checks.redis`), as are
                                    the next three; all live for seconds
    doctor:ranked          zset     its sorted set
    doctor:fields          hash     its hash
    doctor:rate            string   its request budget
"""

from __future__ import annotations

from typing import Final

import msgspec

# The form of the tracker's record of a conversation. Another form means that the topic is folded
# again.
FOLD_FORM: Final = 2
# A problem that somebody must fix; a note that is only worth knowing; a problem that leaves no
# topic to mirror.
REASON: Final = "reason"
NOTE: Final = "note"
CAUSE: Final = "cause"


class Keys(msgspec.Struct, frozen=True):
    """Builds the keys of one namespace."""

    namespace: str

    def _key(self, *parts: str) -> str:
        """`mirror:{namespace}:a:b` from `_key("a", "b")`."""
        return ":".join((f"mirror:{{{self.namespace}}}", *parts))

    @property
    def leader(self) -> str:
        """The leader's token."""
        return self._key("leader")

    @property
    def fence(self) -> str:
        """The counter of elections."""
        return self._key("leader", "fence")

    @property
    def beats(self) -> str:
        """Listeners by their last beat."""
        return self._key("beats")

    @property
    def shards(self) -> str:
        """Shards and their epochs."""
        return self._key("shards")

    @property
    def seats(self) -> str:
        """The leader's record of the seats."""
        return self._key("seats")

    @property
    def released(self) -> str:
        """Channels that wait for their seats' next holders."""
        return self._key("released")

    @property
    def rejected(self) -> str:
        """Topics that Genesys refuses."""
        return self._key("rejected")

    @property
    def uncovered(self) -> str:
        """Shards that no channel receives."""
        return self._key("uncovered")

    @property
    def problems(self) -> str:
        """Seats that cannot be placed or do not serve."""
        return self._key("problems")

    @property
    def discovery(self) -> str:
        """Reasons and notes of discovery."""
        return self._key("discovery")

    @property
    def names(self) -> str:
        """The digest of all stored names."""
        return self._key("names")

    @property
    def departed(self) -> str:
        """Topics that disappeared, and until when they were received."""
        return self._key("departed")

    @property
    def coverage(self) -> str:
        """Until when each shard is covered."""
        return self._key("coverage")

    @property
    def gaps(self) -> str:
        """Gaps by the time of their next claim."""
        return self._key("gaps")

    @property
    def readings(self) -> str:
        """Conversations that were read for gaps lately."""
        return self._key("readings")

    @property
    def workers(self) -> str:
        """Reports of trackers, janitors and projectors."""
        return self._key("workers")

    @property
    def waiting(self) -> str:
        """What processes wait for at their start."""
        return self._key("waiting")

    @property
    def partitions(self) -> str:
        """Topics and the partitions that their keys are spread over."""
        return self._key("partitions")

    @property
    def passed(self) -> str:
        """The time of the leader's last pass."""
        return self._key("passed")

    @property
    def commands(self) -> str:
        """Requests of operators."""
        return self._key("commands")

    @property
    def active(self) -> str:
        """Active conversations by their next verification."""
        return self._key("active")

    @property
    def doubted(self) -> str:
        """Conversations that Genesys does not know, and since when."""
        return self._key("doubted")

    @property
    def failing(self) -> str:
        """Conversations that Genesys gives no answer on that counts, and since when."""
        return self._key("failing")

    @property
    def doctor_text(self) -> str:
        """A string that the check of rights writes."""
        return self._key("doctor", "text")

    @property
    def doctor_ranked(self) -> str:
        """A sorted set that the check of rights writes."""
        return self._key("doctor", "ranked")

    @property
    def doctor_fields(self) -> str:
        """A hash that the check of rights writes."""
        return self._key("doctor", "fields")

    @property
    def doctor_rate(self) -> str:
        """A request budget that the check of rights spends."""
        return self._key("doctor", "rate")

    def listener(self, listener_id: str) -> str:
        """The last beat of a listener."""
        return self._key("listener", listener_id)

    def assignment(self, listener_id: str) -> str:
        """The grants of a listener."""
        return self._key("assignment", listener_id)

    def shard(self, shard_id: str) -> str:
        """A shard with its topics."""
        return self._key("shard", shard_id)

    def names_of(self, family: str, part: int) -> str:
        """One slice of a family's names."""
        return self._key("names", family, str(part))

    def channels(self, client_id: str) -> str:
        """Channel reservations of an OAuth client."""
        return self._key("channels", client_id)

    def probe(self, client_id: str) -> str:
        """The channel of `mirror doctor` for an OAuth client."""
        return self._key("probe", client_id)

    def probing(self, client_id: str) -> str:
        """The turns of checks at that channel."""
        return self._key("probing", client_id)

    def rate(self, client_id: str) -> str:
        """The request budget of an OAuth client."""
        return self._key("rate", client_id)

    def janitor_rate(self, client_id: str) -> str:
        """The janitors' part of the request budget of an OAuth client."""
        return self._key("rate", client_id, "janitor")

    def gap(self, gap_id: str) -> str:
        """A gap."""
        return self._key("gap", gap_id)

    def gap_read(self, gap_id: str) -> str:
        """The conversations that were read for a gap."""
        return self._key("gap", gap_id, "read")

    def conversation(self, conversation_id: str) -> str:
        """The tracker's record of a conversation."""
        return self._key("conversation", conversation_id)

    def offsets(self, topic: str) -> str:
        """The tracker's offsets for a topic."""
        return self._key("offsets", str(FOLD_FORM), topic)
