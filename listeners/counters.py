"""The counters of a listener, in one struct for telemetry and beats."""

from __future__ import annotations

import msgspec


class Counters(msgspec.Struct, kw_only=True):
    """Totals since the process started, and the present size of the spool."""

    frames: int = 0
    bytes: int = 0
    heartbeats: int = 0
    system_frames: int = 0
    unknown_frames: int = 0
    unknown_media: int = 0  # frames with a medium that this version does not know
    events: int = 0
    agent_events: int = 0
    dead_letters: int = 0

    produced: int = 0  # records given a sequence number: events, agents' states, dead letters
    delivered: int = 0  # of these, acknowledged by Kafka, straight or from the spool
    failed: int = 0  # delivery reports that were failures; each is spooled, none is lost
    rejected: int = 0  # records that Kafka refuses for good; each became a dead letter
    lost: int = 0  # records dropped because the spool was full or not writable

    spooled: int = 0
    spool_records: int = 0
    spool_bytes: int = 0
    held: int = 0  # records in memory because the spool's disk refuses
    spools_damaged: int = 0  # spools set aside; what was whole in them was saved
    spool_lost: int = 0  # records that damaged spools no longer had
    lanes_waiting: int = 0  # partitions with records in the spool
    outages: int = 0  # times that the producer was set aside for the spool

    connects: int = 0
    reconnects: int = 0
    rotations: int = 0
    protocol_errors: int = 0

    read_seconds: float = 0.0  # spent in reading, normalising and producing
    native_frames: int = 0  # read by the native reader
    native_failures: int = 0  # frames that it could not read; Python read them
    native_shadowed: int = 0  # frames that both readers read
    native_differences: int = 0  # of these, frames with different records
    slow: int = 0  # loop passes that took longer than 100 ms
    stalls: int = 0  # loop passes that took longer than a second
