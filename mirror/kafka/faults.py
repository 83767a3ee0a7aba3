"""Classifies refusals of records by brokers and librdkafka: whose fault, and for how long.

One table covers all error codes of librdkafka. A producer's shell asks `judge` and acts by the kind
alone:

    kind        whose fault it is                                what is done
    ----------  -----------------------------------------------  ---------------------------------
    record      this record's, for good                          sent alone; a dead letter if so
    partition   this partition's, for now                        it waits, the others go on
    topic       this topic's (gone, forbidden), for now          it waits, the others go on
    cluster     all of Kafka's, or the way there, for now        all waits
    client      this producer's: it has lost its place           another producer
    ours        nobody's: we took the record back                none
    foreign     no answer to a producer (groups, transactions)   as `partition`, if ever met

Brokers refuse a batch as a whole, so a `record` fault is certain only of a record sent alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from confluent_kafka import KafkaError, KafkaException

Kind = Literal["record", "partition", "topic", "cluster", "client", "ours", "foreign"]

_NAMES: Final[Mapping[Kind, str]] = {
    "record": """
        MSG_SIZE_TOO_LARGE INVALID_MSG_SIZE INVALID_MSG INVALID_RECORD INVALID_TIMESTAMP
        RECORD_LIST_TOO_LARGE _BAD_MSG _INVALID_DIFFERENT_RECORD _KEY_SERIALIZATION
        _VALUE_SERIALIZATION
    """,
    "partition": """
        LEADER_NOT_AVAILABLE NOT_LEADER_FOR_PARTITION REPLICA_NOT_AVAILABLE REQUEST_TIMED_OUT
        NOT_ENOUGH_REPLICAS NOT_ENOUGH_REPLICAS_AFTER_APPEND KAFKA_STORAGE_ERROR LOG_DIR_NOT_FOUND
        FENCED_LEADER_EPOCH UNKNOWN_LEADER_EPOCH PREFERRED_LEADER_NOT_AVAILABLE
        ELIGIBLE_LEADERS_NOT_AVAILABLE REASSIGNMENT_IN_PROGRESS OFFSET_NOT_AVAILABLE
        OPERATION_NOT_ATTEMPTED UNKNOWN _MSG_TIMED_OUT _TIMED_OUT_QUEUE _TIMED_OUT _ISR_INSUFF
        _UNKNOWN_PARTITION _QUEUE_FULL _LOG_TRUNCATION _RETRY _INTR _NODE_UPDATE _WAIT_CACHE
        _IN_PROGRESS _PREV_IN_PROGRESS _OUTDATED _UNDERFLOW _PARTIAL _NOOP
    """,
    "topic": """
        UNKNOWN_TOPIC_OR_PART UNKNOWN_TOPIC_ID INCONSISTENT_TOPIC_ID TOPIC_EXCEPTION
        TOPIC_AUTHORIZATION_FAILED INVALID_REQUIRED_ACKS UNSUPPORTED_FOR_MESSAGE_FORMAT
        UNSUPPORTED_COMPRESSION_TYPE POLICY_VIOLATION INVALID_CONFIG INVALID_PARTITIONS
        _UNKNOWN_TOPIC _BAD_COMPRESSION
    """,
    "cluster": """
        BROKER_NOT_AVAILABLE NETWORK_EXCEPTION STALE_CTRL_EPOCH NOT_CONTROLLER
        CLUSTER_AUTHORIZATION_FAILED UNSUPPORTED_SASL_MECHANISM ILLEGAL_SASL_STATE
        SASL_AUTHENTICATION_FAILED UNSUPPORTED_VERSION INVALID_REQUEST SECURITY_DISABLED
        DELEGATION_TOKEN_AUTH_DISABLED DELEGATION_TOKEN_NOT_FOUND DELEGATION_TOKEN_OWNER_MISMATCH
        DELEGATION_TOKEN_REQUEST_NOT_ALLOWED DELEGATION_TOKEN_AUTHORIZATION_FAILED
        DELEGATION_TOKEN_EXPIRED INVALID_PRINCIPAL_TYPE PRINCIPAL_DESERIALIZATION_FAILURE
        LISTENER_NOT_FOUND STALE_BROKER_EPOCH THROTTLING_QUOTA_EXCEEDED REBOOTSTRAP_REQUIRED
        COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR
        MISMATCHED_ENDPOINT_TYPE UNSUPPORTED_ENDPOINT_TYPE UNKNOWN_CONTROLLER_ID
        UNACCEPTABLE_CREDENTIAL _FAIL _TRANSPORT _RESOLVE _ALL_BROKERS_DOWN _SSL _AUTHENTICATION
        _UNKNOWN_PROTOCOL _UNSUPPORTED_FEATURE _UNKNOWN_BROKER _WAIT_COORD _CRIT_SYS_RESOURCE
        _DESTROY_BROKER
    """,
    "client": """
        OUT_OF_ORDER_SEQUENCE_NUMBER DUPLICATE_SEQUENCE_NUMBER INVALID_PRODUCER_EPOCH
        INVALID_PRODUCER_ID_MAPPING UNKNOWN_PRODUCER_ID PRODUCER_FENCED _FATAL _GAPLESS_GUARANTEE
        _FENCED _INCONSISTENT _STATE _DESTROY _INVALID_ARG _CONFLICT _NOT_IMPLEMENTED
        _NOT_CONFIGURED _APPLICATION _INVALID_TYPE _READ_ONLY _FS
    """,
    "ours": "NO_ERROR _PURGE_QUEUE _PURGE_INFLIGHT",
    "foreign": """
        OFFSET_OUT_OF_RANGE OFFSET_METADATA_TOO_LARGE ILLEGAL_GENERATION INCONSISTENT_GROUP_PROTOCOL
        INVALID_GROUP_ID UNKNOWN_MEMBER_ID INVALID_SESSION_TIMEOUT REBALANCE_IN_PROGRESS
        INVALID_COMMIT_OFFSET_SIZE GROUP_AUTHORIZATION_FAILED TOPIC_ALREADY_EXISTS
        INVALID_REPLICATION_FACTOR INVALID_REPLICA_ASSIGNMENT INVALID_TXN_STATE
        INVALID_TRANSACTION_TIMEOUT CONCURRENT_TRANSACTIONS TRANSACTION_COORDINATOR_FENCED
        TRANSACTIONAL_ID_AUTHORIZATION_FAILED TRANSACTION_ABORTABLE NON_EMPTY_GROUP
        GROUP_ID_NOT_FOUND FETCH_SESSION_ID_NOT_FOUND INVALID_FETCH_SESSION_EPOCH
        TOPIC_DELETION_DISABLED MEMBER_ID_REQUIRED GROUP_MAX_SIZE_REACHED FENCED_INSTANCE_ID
        ELECTION_NOT_NEEDED NO_REASSIGNMENT_IN_PROGRESS GROUP_SUBSCRIBED_TO_TOPIC
        UNSTABLE_OFFSET_COMMIT RESOURCE_NOT_FOUND DUPLICATE_RESOURCE INCONSISTENT_VOTER_SET
        INVALID_UPDATE_VERSION FEATURE_UPDATE_FAILED FENCED_MEMBER_EPOCH UNRELEASED_INSTANCE_ID
        UNSUPPORTED_ASSIGNOR STALE_MEMBER_EPOCH UNKNOWN_SUBSCRIPTION_ID TELEMETRY_TOO_LARGE
        INVALID_REGISTRATION INVALID_RECORD_STATE SHARE_SESSION_NOT_FOUND
        INVALID_SHARE_SESSION_EPOCH SHARE_SESSION_LIMIT_REACHED FENCED_STATE_EPOCH
        INVALID_VOTER_KEY DUPLICATE_VOTER VOTER_NOT_FOUND INVALID_REGULAR_EXPRESSION
        STREAMS_INVALID_TOPOLOGY STREAMS_INVALID_TOPOLOGY_EPOCH STREAMS_TOPOLOGY_FENCED
        _PARTITION_EOF _UNKNOWN_GROUP _EXISTING_SUBSCRIPTION _ASSIGN_PARTITIONS _REVOKE_PARTITIONS
        _NO_OFFSET _KEY_DESERIALIZATION _VALUE_DESERIALIZATION _NOENT _MAX_POLL_EXCEEDED
        _ASSIGNMENT_LOST _AUTO_OFFSET_RESET
    """,
}

# The operator's next step, by code, else by kind.
_STEPS: Final[Mapping[str, str]] = {
    "TOPIC_AUTHORIZATION_FAILED": "give the mirror's user the right Write on this topic",
    "CLUSTER_AUTHORIZATION_FAILED": "give the mirror's user the right IdempotentWrite or Write",
    "UNKNOWN_TOPIC_OR_PART": "`mirror init` makes the topic",
    "_UNKNOWN_TOPIC": "`mirror init` makes the topic",
    "UNSUPPORTED_COMPRESSION_TYPE": "set KAFKA_CONF_COMPRESSION_CODEC to a codec of the brokers",
    "NOT_ENOUGH_REPLICAS": "see which of the partition's brokers are away",
    "NOT_ENOUGH_REPLICAS_AFTER_APPEND": "see which of the partition's brokers are away",
    "KAFKA_STORAGE_ERROR": "see the disk of the partition's leader",
    "SASL_AUTHENTICATION_FAILED": "see KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
    "_AUTHENTICATION": "see KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
    "_SSL": "see KAFKA_TRUSTED_CERT and KAFKA_CLIENT_CERT",
    "_RESOLVE": "see KAFKA_BOOTSTRAP_SERVERS and the brokers' advertised listeners",
}
_KIND_STEPS: Final[Mapping[Kind, str]] = {
    "record": "`mirror dlq list` shows it",
    "partition": "see the partition's leader",
    "topic": "see the topic's settings and rights with `mirror doctor`",
    "cluster": "see the brokers with `mirror doctor`",
    "client": "the mirror makes another producer",
    "ours": "",
    "foreign": "see the brokers' logs",
}
# confluent-kafka's prefix of an error that `produce` raises.
_AT_ONCE: Final = "Unable to produce message: "


def _codes() -> dict[int, Kind]:
    """Code → kind. Skips names that the installed librdkafka does not have."""
    found: dict[int, Kind] = {}
    for kind, names in _NAMES.items():
        for name in names.split():
            code = getattr(KafkaError, name, None)
            if code is not None:
                assert code not in found, f"{name} stands twice in the table"
                found[code] = kind
    return found


KINDS: Final[Mapping[int, Kind]] = _codes()


def judge(error: KafkaError) -> Kind:
    """The kind of an error. An unknown code of a newer librdkafka blocks only its partition."""
    if error.fatal():
        return "client"
    return KINDS.get(error.code(), "partition")


def is_refused(error: KafkaError) -> bool:
    """Whether Kafka will never take this record, given that it was alone in its batch."""
    return judge(error) == "record"


def words(error: KafkaError) -> str:
    """The text of an error, the same from `produce` and from a delivery report."""
    return f"{error.name()}: {error.str().removeprefix(_AT_ONCE)}"


def step(error: KafkaError) -> str:
    """The operator's next step."""
    return _STEPS.get(error.name()) or _KIND_STEPS[judge(error)]


def cause(error: BaseException) -> KafkaError | None:
    """librdkafka's error in an exception of confluent-kafka, None if it has none."""
    inner: Any = error.args[0] if isinstance(error, KafkaException) and error.args else None
    return inner if isinstance(inner, KafkaError) else None
