"""The channel machine: what it asks for, in which order, and what it claims to cover."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from listeners.channels import machine, silence, table, upkeep
from listeners.channels.actions import (
    Action,
    Close,
    Connect,
    Create,
    Release,
    Reserve,
    SendPing,
    Subscribe,
    Verify,
)
from listeners.channels.attempts import CONNECT_TRIES, SHORT_LIFE_SECONDS, STABLE_AFTER_SECONDS
from listeners.channels.channel import Channel
from listeners.channels.machine import ACTION_TIMEOUT_SECONDS, MOST_ERROR_LETTERS
from listeners.channels.upkeep import COMPARE_SECONDS, OVERDUE_INTERVALS, UNSET_SECONDS
from mirror.base.log import capture_logs
from mirror.fleet.words import Grant
from mirror.genesys.handles import Handle

TOPICS = ("v2.users.u1.conversations", "v2.users.u2.conversations")
HANDLE = Handle("streaming-1-aaaaaaaaaaaaaaaaaaaaaaaaaa", "wss://streaming.example/channels/a")
OTHER = Handle("streaming-1-bbbbbbbbbbbbbbbbbbbbbbbbbb", "wss://streaming.example/channels/b")
SILENCE = 35.0
DAY = 86_400.0


def make(handle: Handle | None = None, now: float = 0.0) -> Channel:
    """A channel of a fresh grant."""
    grant = Grant("7", "a", 3, "client", 1, handle)
    return Channel(
        grant,
        TOPICS,
        now,
        holder="me/1",
        silence=SILENCE,
        rng=Random(1),
        linger=10.0,
        shard_epoch=4,
    )


def only(actions: list[Action]) -> Action:
    """The only action there is."""
    (action,) = actions
    return action


def opened(channel: Channel, now: float = 0.0, token: float | None = None) -> None:
    """Take a fresh channel through to the PUT of its topics."""
    reserve = only(channel.tick(now))
    assert isinstance(reserve, Reserve)
    create = only(channel.reserved(reserve.number, now, granted=True, retry_in=0))
    assert isinstance(create, Create)
    connect = only(
        channel.created(create.number, now, HANDLE, expires_in=DAY, token_expires_in=token)
    )
    assert isinstance(connect, Connect)
    assert connect.handle == HANDLE
    subscribe = only(channel.connected(connect.number, now))
    assert isinstance(subscribe, Subscribe)
    assert subscribe.topics == TOPICS
    assert channel.subscribed(subscribe.number, now, rejected=(), expires_in=None) == [SendPing()]


def live(now: float = 0.0, token: float | None = None) -> Channel:
    """A channel that receives."""
    channel = make(now=now)
    opened(channel, now, token)
    assert channel.traffic(now) == []
    assert channel.state == "live"
    return channel


def test_opens_the_socket_before_it_subscribes() -> None:
    """Reserve, create, connect, subscribe, first traffic: only then is a channel live."""
    channel = make()
    opened(channel)
    before = channel.report(1.0, 1.0)
    assert (before.state, before.covered_ms) == ("opening", None)
    channel.traffic(2.0)
    assert channel.report(2.0, 2.0).state == "live"


def test_covers_from_the_subscription_and_not_from_the_first_frame() -> None:
    """Coverage begins when topics were set on an open socket (I10)."""
    channel = make()
    opened(channel, 10.0)
    channel.traffic(12.0)
    report = channel.report(20.0, 20.0)
    assert report.covered_ms == 10_000
    assert report.last_frame_ms == 8_000


def test_coverage_ends_with_what_is_durable() -> None:
    """A frame whose events are not stored yet is not claimed (I9)."""
    channel = live()
    channel.traffic(9.0)
    assert channel.report(10.0, 4.0).last_frame_ms == 6_000


def test_refused_reservation_waits_as_long_as_asked() -> None:
    """Without a reservation nothing is created (I5)."""
    channel = make()
    reserve = only(channel.tick(0.0))
    assert isinstance(reserve, Reserve)
    assert channel.reserved(reserve.number, 0.0, granted=False, retry_in=3.0) == []
    assert channel.tick(2.9) == []
    assert isinstance(only(channel.tick(3.1)), Reserve)


def test_silence_is_probed_then_ends_the_socket() -> None:
    """A ping when a heartbeat is late; the same channel again when that is not answered."""
    channel = live()
    assert channel.tick(SILENCE * 0.89) == []
    assert channel.tick(SILENCE * 0.91) == [SendPing()]
    assert channel.tick(SILENCE * 0.95) == []
    close, connect = channel.tick(SILENCE)
    assert close == Close()
    assert isinstance(connect, Connect)
    assert connect.handle == HANDLE
    assert channel.state == "lost"
    assert channel.report(SILENCE, SILENCE).covered_ms is None
    assert channel.report(SILENCE, SILENCE).last_frame_ms == SILENCE * 1000


def test_a_pong_is_traffic() -> None:
    """Any frame puts the watchdog off."""
    channel = live()
    channel.tick(32.0)
    channel.traffic(33.0)
    assert channel.tick(36.0) == []
    assert channel.state == "live"


def reconnected(channel: Channel, now: float) -> Verify:
    """Lose the socket of a live channel and open it again."""
    _, connect = channel.socket_lost(now)
    assert isinstance(connect, Connect)
    verify = only(channel.connected(connect.number, now + 1))
    assert isinstance(verify, Verify)
    return verify


def test_after_a_reconnect_topics_are_read_and_not_set_again() -> None:
    """Subscriptions belong to the channel; names compare without case; coverage restarts."""
    channel = live()
    verify = reconnected(channel, 100.0)
    actions = channel.verified(verify.number, 102.0, frozenset(t.upper() for t in TOPICS))
    assert actions == [SendPing()]
    channel.traffic(103.0)
    assert channel.report(111.0, 111.0).covered_ms == 10_000


def test_after_a_reconnect_missing_topics_are_set_as_a_full_list() -> None:
    """What came back differs from what is wanted: the full list again (I4)."""
    channel = live()
    verify = reconnected(channel, 100.0)
    subscribe = only(channel.verified(verify.number, 102.0, frozenset(TOPICS[:1])))
    assert isinstance(subscribe, Subscribe)
    assert subscribe.topics == TOPICS


def test_rejected_topics_are_not_missed() -> None:
    """A topic that Genesys refused is not expected among those that are set."""
    channel = live()
    subscribe = only(channel.renew(1.0))
    assert isinstance(subscribe, Subscribe)
    channel.subscribed(subscribe.number, 1.0, rejected=(TOPICS[0],), expires_in=None)
    verify = reconnected(channel, 100.0)
    assert channel.verified(verify.number, 101.0, frozenset(TOPICS[1:])) == [SendPing()]


def test_a_second_loss_means_a_new_channel() -> None:
    """The same URI is tried once; then the channel is given up, its reservation is not."""
    channel = live()
    verify = reconnected(channel, 100.0)
    assert channel.socket_lost(102.0) == [Close()]
    assert channel.verified(verify.number, 102.0, frozenset(TOPICS)) == []
    assert isinstance(only(channel.tick(200.0)), Create)


def test_a_socket_that_is_closed_at_once_means_a_new_channel() -> None:
    """Somebody else may hold the channel: kicking each other for ever helps nobody (I1)."""
    channel = live()
    assert channel.socket_lost(STABLE_AFTER_SECONDS - 1) == [Close()]
    assert channel.handle is None


def test_a_channel_that_is_gone_is_replaced() -> None:
    """401, 403, 404 at the handshake: a new channel next."""
    channel = live()
    _, connect = channel.socket_lost(100.0)
    assert isinstance(connect, Connect)
    channel.failed(connect.number, 101.0, gone=True)
    assert isinstance(only(channel.tick(200.0)), Create)


def test_a_network_outage_keeps_the_channel_for_some_tries() -> None:
    """An unreachable host says nothing about the channel: it is tried again, with pauses."""
    channel = live()
    action: Action = channel.socket_lost(100.0)[1]
    now = 100.0
    for _ in range(CONNECT_TRIES - 1):
        assert isinstance(action, Connect)
        assert action.handle == HANDLE
        assert channel.failed(action.number, now) == []
        assert channel.tick(now) == []
        now += 60
        action = only(channel.tick(now))
    assert isinstance(action, Connect)
    channel.failed(action.number, now)
    assert isinstance(only(channel.tick(now + 60)), Create)


def test_the_last_error_is_told_until_the_channel_is_live() -> None:
    """What others read in a beat: the latest one, at most so long; of a live channel none."""
    channel = make()
    reserve = only(channel.tick(0.0))
    assert isinstance(reserve, Reserve)
    channel.failed(reserve.number, 1.0, reason="403: " + "x" * 500)
    told = channel.report(2.0, 2.0).error
    assert told.startswith("403: x")
    assert len(told) == MOST_ERROR_LETTERS
    served = live()
    served.error = "of a renewal"
    assert served.report(2.0, 2.0).error == ""


def test_outcomes_of_earlier_actions_are_ignored() -> None:
    """A slow answer of a step that was given up changes nothing."""
    channel = make()
    reserve = only(channel.tick(0.0))
    assert isinstance(reserve, Reserve)
    channel.tick(ACTION_TIMEOUT_SECONDS + 1)
    assert channel.phase == "waiting"
    assert channel.reserved(reserve.number, 50.0, granted=True, retry_in=0) == []
    assert channel.phase == "waiting"


def compared(channel: Channel, now: float, topics: tuple[str, ...] = TOPICS) -> list[Action]:
    """The comparison that is due finds these topics."""
    channel.traffic(now)
    verify = only(channel.tick(now))
    assert isinstance(verify, Verify)
    return channel.verified(verify.number, now, frozenset(topics))


def test_renews_by_the_full_list_well_before_a_day() -> None:
    """The PUT renews the channel, once it is known what was set; coverage goes on meanwhile."""
    channel = live()
    subscribe = only(compared(channel, DAY * 0.76))
    assert isinstance(subscribe, Subscribe)
    assert channel.tick(DAY * 0.76 + 1) == []
    channel.subscribed(subscribe.number, DAY * 0.76 + 2, rejected=(), expires_in=DAY)
    report = channel.report(DAY * 0.76 + 2, DAY * 0.76 + 2)
    assert report.covered_ms == round((DAY * 0.76 + 2) * 1000)
    assert report.expires_s == DAY


def test_a_failed_renewal_is_tried_again_and_in_the_end_asks_for_rotation() -> None:
    """A channel that cannot be renewed keeps receiving, and wants a successor in time."""
    channel = live()
    now = DAY * 0.76
    subscribe = only(compared(channel, now))
    assert isinstance(subscribe, Subscribe)
    assert channel.failed(subscribe.number, now) == []
    assert isinstance(only(compared(channel, now + 31)), Subscribe)
    channel.traffic(DAY * 0.91)
    channel.tick(DAY * 0.91)
    assert channel.report(DAY * 0.91, DAY).rotate == "channel_expiring"
    assert channel.state == "rotating"


def test_asks_for_rotation_before_its_token_ends() -> None:
    """A channel dies with the token that made it."""
    channel = live(token=1000.0)
    channel.traffic(749.0)
    channel.tick(749.0)
    assert channel.rotate == ""
    channel.traffic(851.0)
    channel.tick(851.0)
    assert channel.rotate == "token_expiring"


def test_topics_that_change_are_set_while_it_goes_on() -> None:
    """New topics of the shard: one full list, and the channel stays live."""
    channel = live()
    wanted = (*TOPICS, "v2.users.u3.conversations")
    subscribe = only(channel.set_topics(channel.grant, wanted, 5.0))
    assert isinstance(subscribe, Subscribe)
    assert subscribe.topics == wanted
    assert channel.state == "live"


def test_topics_that_change_twice_are_set_twice() -> None:
    """A change during a PUT is followed by another PUT, never lost."""
    channel = live()
    first = only(channel.set_topics(channel.grant, TOPICS[:1], 5.0))
    assert isinstance(first, Subscribe)
    assert channel.set_topics(channel.grant, TOPICS[1:], 5.5) == []
    second = only(channel.subscribed(first.number, 6.0, rejected=(), expires_in=None))
    assert isinstance(second, Subscribe)
    assert second.topics == TOPICS[1:]


def test_retiring_goes_on_receiving_for_a_while() -> None:
    """Drain, then close and release the reservation; the handle is not given back."""
    channel = live()
    assert channel.retire(100.0) == []
    assert channel.state == "closing"
    assert channel.tick(109.0) == []
    assert channel.tick(110.0) == [Close(), Release(None)]
    assert channel.tick(111.0) == []


def test_the_last_holder_gives_its_channel_back() -> None:
    """A listener that leaves a seat to nobody gives the handle back after closing its socket."""
    channel = live()
    channel.retire(100.0, linger=0.5, give_back=True)
    assert channel.tick(100.5) == [Close(), Release(HANDLE)]


def test_an_adopted_channel_is_opened_and_subscribed_at_once() -> None:
    """A channel that was given back is not created again, and its list is set anew."""
    channel = make(OTHER)
    reserve = only(channel.tick(0.0))
    assert isinstance(reserve, Reserve)
    connect = only(channel.reserved(reserve.number, 0.0, granted=True, retry_in=0))
    assert isinstance(connect, Connect)
    assert connect.handle == OTHER
    assert isinstance(only(channel.connected(connect.number, 0.0)), Subscribe)


def test_a_grant_that_ends_while_opening_releases_what_was_reserved() -> None:
    """Nothing is left behind, whichever step was under way."""
    channel = make()
    reserve = only(channel.tick(0.0))
    assert isinstance(reserve, Reserve)
    assert channel.retire(1.0) == [Close()]
    assert channel.reserved(reserve.number, 2.0, granted=True, retry_in=0) == [Release(None)]


def test_a_reservation_that_was_granted_late_is_released_in_the_end() -> None:
    """The wait for it was given up; it was made all the same, and beats would renew it for ever."""
    channel = make()
    late = only(channel.tick(0.0))
    assert isinstance(late, Reserve)
    assert channel.tick(ACTION_TIMEOUT_SECONDS) == []
    again = only(channel.tick(ACTION_TIMEOUT_SECONDS + 60))
    assert isinstance(again, Reserve)
    now = ACTION_TIMEOUT_SECONDS + 61
    assert channel.reserved(late.number, now, granted=True, retry_in=0) == []
    assert channel.reserved(again.number, now, granted=False, retry_in=9.0) == []
    assert channel.retire(now) == [Close(), Release(None)]


def epoch(channel: Channel) -> int:
    """The shard epoch that it reports."""
    return channel.report(0.0, 0.0).shard_epoch


def test_reports_the_epoch_of_the_topics_that_are_confirmed() -> None:
    """0 until the first answer; then that of the list last confirmed, not of the one wanted."""
    channel = make()
    assert epoch(channel) == 0
    opened(channel)
    channel.traffic(0.0)
    assert epoch(channel) == 4
    subscribe = only(channel.set_topics(channel.grant, TOPICS[:1], 5.0, shard_epoch=5))
    assert isinstance(subscribe, Subscribe)
    assert channel.set_topics(channel.grant, TOPICS, 5.5, shard_epoch=6) == []
    assert epoch(channel) == 6, "the list of epoch 4 is back, and nothing else is confirmed"
    channel.subscribed(subscribe.number, 6.0, rejected=(), expires_in=None)
    assert epoch(channel) == 5


def test_a_new_epoch_of_the_same_topics_needs_no_call() -> None:
    """What is confirmed is what the new epoch says too."""
    channel = live()
    assert channel.set_topics(channel.grant, TOPICS, 5.0, shard_epoch=9) == []
    assert epoch(channel) == 9


def test_after_a_reconnect_the_epoch_is_that_of_what_is_set() -> None:
    """As wanted: its epoch; anything else: none, until the full list is set again."""
    channel = live()
    verify = reconnected(channel, 100.0)
    channel.verified(verify.number, 102.0, frozenset(TOPICS))
    assert epoch(channel) == 4
    channel = live()
    verify = reconnected(channel, 100.0)
    channel.verified(verify.number, 102.0, frozenset(TOPICS[:1]))
    assert epoch(channel) == 0


def test_a_new_channel_has_nothing_confirmed() -> None:
    """The list was that of the channel that is gone."""
    channel = live()
    channel.socket_lost(STABLE_AFTER_SECONDS - 1)
    assert epoch(channel) == 0


def compare_due(channel: Channel, now: float) -> Verify:
    """The comparison that is due by then; heartbeats come meanwhile."""
    channel.traffic(now)
    verify = only(channel.tick(now))
    assert isinstance(verify, Verify)
    return verify


def test_topics_are_compared_at_intervals() -> None:
    """Not before, about every minute, and nothing is set where nothing is missing."""
    channel = live()
    for minute in range(3):
        begin = 80.0 * minute
        channel.traffic(begin + 44.0)
        assert channel.tick(begin + 44.0) == []
        assert compared(channel, begin + COMPARE_SECONDS * 1.25, TOPICS[::-1]) == []
        channel.traffic(begin + 80.0)
    assert channel.missed == []
    assert channel.report(240.0, 240.0).covered_ms == 240_000


def test_a_list_that_was_emptied_is_set_again_and_what_was_missed_is_told() -> None:
    """Heartbeats went on all the while: nothing was heard since the last comparison (I10)."""
    channel = live()
    assert compared(channel, 70.0) == []
    verify = compare_due(channel, 146.0)
    subscribe = only(channel.verified(verify.number, 147.0, frozenset()))
    assert isinstance(subscribe, Subscribe)
    assert subscribe.topics == TOPICS
    assert (channel.state, channel.covered_since, epoch(channel)) == ("lost", None, 0)
    (missed,) = channel.missed
    assert (missed.topics, missed.since, missed.until) == (TOPICS, 70.0, 147.0)
    channel.subscribed(subscribe.number, 148.0, rejected=(), expires_in=None)
    channel.traffic(148.5)
    assert channel.report(150.0, 150.0).covered_ms == 2_000


def test_only_the_topics_that_are_missing_were_missed() -> None:
    """The whole list is set again; a gap is wanted for the others alone."""
    channel = live()
    (subscribe,) = compared(channel, 76.0, TOPICS[:1])
    assert isinstance(subscribe, Subscribe)
    assert [missed.topics for missed in channel.missed] == [TOPICS[1:]]


def test_topics_that_were_added_are_taken_off_while_it_goes_on() -> None:
    """Nothing was missed: the list is set, and the channel stays live."""
    channel = live()
    (subscribe,) = compared(channel, 76.0, (*TOPICS, "v2.users.u9.conversations"))
    assert isinstance(subscribe, Subscribe)
    assert (channel.state, channel.missed) == ("live", [])


def test_a_put_does_not_hide_that_topics_were_missing() -> None:
    """A shard's topics change: what is set is read first, unless that is known from just now."""
    channel = live()
    channel.traffic(30.0)
    verify = only(channel.set_topics(channel.grant, TOPICS[:1], 30.0, shard_epoch=5))
    assert isinstance(verify, Verify)
    subscribe = only(channel.verified(verify.number, 31.0, frozenset(TOPICS[:1])))
    assert isinstance(subscribe, Subscribe)
    assert subscribe.topics == TOPICS[:1]
    assert [missed.topics for missed in channel.missed] == [TOPICS[1:]]


def test_topics_that_cannot_be_read_are_set_all_the_same() -> None:
    """A change does not wait for a reading that fails."""
    channel = live()
    channel.traffic(30.0)
    verify = only(channel.set_topics(channel.grant, TOPICS[:1], 30.0))
    assert isinstance(verify, Verify)
    assert isinstance(only(channel.failed(verify.number, 31.0)), Subscribe)


def test_a_comparison_that_fails_changes_nothing() -> None:
    """It is made again an interval later; so is that which never ends."""
    channel = live()
    verify = compare_due(channel, 76.0)
    assert channel.failed(verify.number, 77.0) == []
    verify = compare_due(channel, 160.0)
    channel.traffic(160.0 + ACTION_TIMEOUT_SECONDS)
    assert channel.tick(160.0 + ACTION_TIMEOUT_SECONDS) == []
    assert channel.verified(verify.number, 260.0, frozenset()) == []
    assert (channel.state, channel.missed) == ("live", [])
    compare_due(channel, 350.0)


def test_comparisons_that_always_fail_are_told() -> None:
    """The channel stays live, and reports after five minutes that its topics are not known."""
    channel, now = live(), 0.0
    while now < 2 * DAY / 24:
        now += 1.0
        channel.traffic(now)
        for action in channel.tick(now):
            assert isinstance(action, Verify)
            channel.failed(action.number, now, reason="HTTP 503")
        is_overdue = now > OVERDUE_INTERVALS * COMPARE_SECONDS
        assert channel.overdue(now) == (now if is_overdue else None)
    assert (channel.state, channel.error) == ("live", "HTTP 503")
    assert compared(channel, now + 80.0) == []
    assert channel.overdue(now + 81.0) is None


def test_comparisons_without_an_answer_are_told() -> None:
    """A call that never ends is a failed one."""
    channel, now = live(), 0.0
    while now < 600.0:
        now += 1.0
        channel.traffic(now)
        channel.tick(now)
    assert (channel.overdue(now), channel.error) == (now, "no answer")


def test_new_topics_that_cannot_be_set_are_told() -> None:
    """The channel goes on with its old topics, which answers of Genesys confirm; after half a
    minute it says that it lacks the new ones, until they are set."""
    channel, now = live(), 0.0
    more = (*TOPICS, "v2.users.u3.conversations")
    actions = channel.set_topics(channel.grant, more, now, shard_epoch=5)
    while now < 600.0:
        for action in actions:
            if isinstance(action, Verify):
                (action,) = channel.verified(action.number, now, frozenset(TOPICS))
            assert isinstance(action, Subscribe)
            channel.failed(action.number, now, reason="HTTP 500")
        assert channel.unset(now) == (now if now > UNSET_SECONDS else None)
        now += 1.0
        channel.traffic(now)
        actions = channel.tick(now)
    assert (channel.state, channel.error, channel.overdue(now)) == ("live", "HTTP 500", None)
    while not actions:
        now += 1.0
        channel.traffic(now)
        actions = channel.tick(now)
    (action,) = actions
    if isinstance(action, Verify):
        (action,) = channel.verified(action.number, now, frozenset(TOPICS))
    assert isinstance(action, Subscribe)
    assert channel.subscribed(action.number, now, rejected=(), expires_in=None) == []
    assert channel.unset(now) is None


def test_rare_comparisons_of_a_list_that_always_differs_are_not_overdue() -> None:
    """They are as rare as they should be."""
    channel, now = live(), 0.0
    while now < 7200.0:
        now += 1.0
        channel.traffic(now)
        for action in channel.tick(now):
            assert isinstance(action, Verify)
            (subscribe,) = channel.verified(action.number, now, frozenset())
            assert isinstance(subscribe, Subscribe)
            channel.subscribed(subscribe.number, now, rejected=(), expires_in=None)
            channel.traffic(now)
        assert channel.overdue(now) is None


def test_a_list_that_differs_every_time_is_compared_ever_more_rarely() -> None:
    """Another tool sets its own, or an answer does not say all: the channel serves in between."""
    channel, now, found = live(), 0.0, []
    while now < 3600.0:
        now += 1.0
        channel.traffic(now)
        action = next(iter(channel.tick(now)), None)
        if isinstance(action, Verify):
            found.append(now)
            (subscribe,) = channel.verified(action.number, now, frozenset())
            assert isinstance(subscribe, Subscribe)
            channel.subscribed(subscribe.number, now, rejected=(), expires_in=None)
    assert len(found) < 15
    assert sum(missed.until - missed.since for missed in channel.missed) == found[-1]


def test_a_reading_that_says_gone_wants_a_successor_and_closes_nothing() -> None:
    """Frames may still come; what came since the last comparison is doubted, and covers nothing."""
    channel = live()
    verify = compare_due(channel, 76.0)
    assert channel.failed(verify.number, 77.0, gone=True) == []
    assert (channel.state, channel.rotate) == ("rotating", "channel_gone")
    channel.cover(78.0)
    assert channel.report(78.0, 78.0).covered_ms is None
    assert [missed.topics for missed in channel.missed] == [TOPICS]


def test_a_renewal_that_says_gone_tells_what_was_missed() -> None:
    """The channel is replaced at once, and was deaf for nobody knows how long."""
    channel = live()
    renewal = only(channel.renew(90.0))
    assert isinstance(renewal, Subscribe)
    assert channel.failed(renewal.number, 91.0, gone=True) == [Close()]
    assert [(missed.since, missed.until) for missed in channel.missed] == [(0.0, 91.0)]


def test_a_channel_that_the_leader_doubts_is_compared_at_once() -> None:
    """Once for each doubt."""
    channel = live()
    doubted = msgspec.structs.replace(channel.grant, doubted_ms=5)
    verify = only(channel.set_topics(doubted, TOPICS, 10.0, shard_epoch=4))
    assert isinstance(verify, Verify)
    assert channel.verified(verify.number, 11.0, frozenset(TOPICS)) == []
    assert channel.set_topics(doubted, TOPICS, 12.0, shard_epoch=4) == []


def test_topics_that_are_missing_after_a_reconnect_were_missed() -> None:
    """Nobody knows whether they went before the socket did."""
    channel = live()
    verify = reconnected(channel, 50.0)
    channel.verified(verify.number, 52.0, frozenset(TOPICS[:1]))
    assert [(missed.topics, missed.since, missed.until) for missed in channel.missed] == [
        (TOPICS[1:], 0.0, 52.0)
    ]


def test_a_put_without_an_answer_closes_its_socket() -> None:
    """As a PUT that fails does: the next try opens it again."""
    channel = make()
    reserve = only(channel.tick(0.0))
    assert isinstance(reserve, Reserve)
    create = only(channel.reserved(reserve.number, 0.0, granted=True, retry_in=0))
    assert isinstance(create, Create)
    (action,) = channel.created(create.number, 0.0, HANDLE, expires_in=DAY, token_expires_in=DAY)
    assert isinstance(action, Connect)
    assert isinstance(only(channel.connected(action.number, 0.0)), Subscribe)
    assert channel.tick(ACTION_TIMEOUT_SECONDS) == [Close()]
    assert channel.phase == "waiting"


def test_a_step_that_the_table_does_not_have_is_an_error_here_and_a_line_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In production the channel stays where it is, and the log says so."""
    with pytest.raises(table.ImpossibleStep, match="'drained' in 'live'"):
        table.step(table.TRANSITIONS, "live", "drained")
    monkeypatch.setattr(table, "STRICT", False)
    with capture_logs() as lines:
        assert table.step(table.TRANSITIONS, "live", "drained") is None
    assert [(line["event"], line["state"], line["input"]) for line in lines] == [
        ("impossible_step", "live", "drained")
    ]


class Fuzz(RuleBasedStateMachine):
    """Any inputs in any order, time going forward."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.rng = Random(7)
        self.channel = make()
        self.pending: list[Action] = []
        self.open = False
        self.held = False  # a reservation in Redis, which knows holders and counts none twice

        self.before = self.channel.phase

    def take(self, actions: list[Action]) -> None:
        before, self.before = self.before, self.channel.phase
        assert self.before == before or self.before in table.TRANSITIONS[before].values()
        for action in actions:
            if isinstance(action, Close):
                self.open = False
            elif isinstance(action, Release):
                self.held = False
            elif not isinstance(action, SendPing):
                self.pending.append(action)

    @rule(seconds=st.sampled_from([0.01, 0.5, 3.0, 20.0, 41.0, 4000.0, 80_000.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.take(self.channel.tick(self.now))

    @precondition(lambda self: self.pending)
    @rule(well=st.booleans(), gone=st.booleans(), place=st.integers(0, 3))
    def answer(self, well: bool, gone: bool, place: int) -> None:
        action = self.pending.pop(place % len(self.pending))
        channel, now = self.channel, self.now
        match action:
            case Reserve(number) if gone and not well:
                self.take(channel.failed(number, now))
            case Reserve(number):
                self.held = self.held or well
                self.take(channel.reserved(number, now, granted=well, retry_in=1.0))
            case Create(number) if well:
                made = channel.created(number, now, HANDLE, expires_in=DAY, token_expires_in=DAY)
                self.take(made)
            case Connect(number) if well:
                if channel.awaits(number):
                    self.open = True
                self.take(channel.connected(number, now))
            case Subscribe(number) if well:
                self.take(channel.subscribed(number, now, rejected=(), expires_in=DAY))
            case Verify(number) if well:
                self.take(channel.verified(number, now, frozenset(TOPICS[:place])))
            case Create(number) | Connect(number) | Subscribe(number) | Verify(number):
                self.take(channel.failed(number, now, gone=gone))

    @precondition(lambda self: self.open)
    @rule()
    def frame(self) -> None:
        self.take(self.channel.traffic(self.now))

    @precondition(lambda self: self.open)
    @rule()
    def lose(self) -> None:
        self.open = False
        self.take(self.channel.socket_lost(self.now))

    @rule(count=st.integers(1, 2))
    def change(self, count: int) -> None:
        self.take(self.channel.set_topics(self.channel.grant, TOPICS[:count], self.now))

    @rule(reason=st.sampled_from(["socket_closing", "no_longer_subscribed"]))
    def rotate(self, reason: str) -> None:
        self.channel.request_rotation(reason, self.now)

    @rule()
    def retire(self) -> None:
        self.take(self.channel.retire(self.now))

    @invariant()
    def claims_only_what_is_open(self) -> None:
        """Coverage is claimed on an open socket only."""
        if self.channel.report(self.now, self.now).covered_ms is not None:
            assert self.open

    @invariant()
    def holds_a_reservation_exactly_while_it_needs_one(self) -> None:
        """I5: no channel is made, opened or kept without; none is left behind in the end."""
        reserving = any(isinstance(action, Reserve) for action in self.pending)
        if self.channel.phase == "closed" and not reserving:
            assert not self.held
        if self.channel.phase not in {"waiting", "reserving", "closing", "closed"}:
            assert self.held

    @invariant()
    def always_something_to_wait_for(self) -> None:
        """It never hangs: a day later it is live, closed, or asks for something."""
        channel = self.channel
        if channel.phase not in {"live", "closed", "closing", "proving"}:
            assert channel._deadline <= self.now + ACTION_TIMEOUT_SECONDS


Fuzz.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyHistory = Fuzz.TestCase


def test_every_row_of_the_tables_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stands there that no history has; `Fuzz` holds that nothing else happens."""
    tables = (table.TRANSITIONS, table.UPKEEP, table.SILENCE)
    rows = {
        (state, input_)
        for rows_of in tables
        for state, inputs in rows_of.items()
        for input_ in inputs
    }
    made: set[tuple[str, str]] = set()

    def step(states: Mapping[Any, Mapping[Any, Any]], state: Any, input_: Any) -> Any:
        made.add((state, input_))
        return table.step(states, state, input_)

    for module in (machine, upkeep, silence):
        monkeypatch.setattr(module, "step", step)
    rng = Random(1)
    histories = 0
    while not rows <= made and histories < 50_000:
        histories += 1
        fuzz = Fuzz()
        fuzz.channel = make(rng.choice([None, None, None, OTHER]))
        for _ in range(rng.randrange(90)):
            walk(fuzz, rng)
    assert made == rows


def walk(fuzz: Fuzz, rng: Random) -> None:
    """One more input, such as comes in the life of a channel."""
    drawn = rng.random()
    if fuzz.pending and drawn < 0.5:
        fuzz.answer(rng.random() < 0.8, rng.random() < 0.3, rng.choice([0, 1, 2, 2]))
    elif drawn < 0.7:
        fuzz.wait(rng.choice([0.01, 0.5, 3.0, 20.0, 33.0, 41.0, 100.0, 80_000.0]))
    elif fuzz.open and drawn < 0.84:
        fuzz.frame()
    elif fuzz.open and drawn < 0.92:
        fuzz.lose()
    elif drawn < 0.96:
        fuzz.change(rng.choice([1, 2]))
    elif drawn < 0.98:
        fuzz.take(fuzz.channel.renew(fuzz.now))
    elif drawn > 0.99:
        fuzz.retire()


def ending(seconds: float, until: float) -> int:
    """How many channels are made until then, where each ends so long after it was made."""
    channel, now, made = make(), 0.0, 0
    while now < until:
        action = next(iter(channel.tick(now)), None)
        if isinstance(action, Reserve):
            action = only(channel.reserved(action.number, now, granted=True, retry_in=0))
        if not isinstance(action, Create):
            now += 0.25
            continue
        made += 1
        connect = only(
            channel.created(action.number, now, HANDLE, expires_in=DAY, token_expires_in=DAY)
        )
        assert isinstance(connect, Connect)
        subscribe = only(channel.connected(connect.number, now))
        assert isinstance(subscribe, Subscribe)
        channel.subscribed(subscribe.number, now, rejected=(), expires_in=None)
        channel.traffic(now)
        now += seconds
        renewal = only(channel.renew(now))
        assert isinstance(renewal, Subscribe)
        assert Close() in channel.failed(renewal.number, now, gone=True)
    return made


def test_channels_that_end_at_once_are_made_ever_more_rarely() -> None:
    """A token that lives a second ends each channel with it: a few a minute, not a hundred."""
    assert ending(1.0, until=60.0) <= 8
    assert ending(1.0, until=600.0) <= 30


def test_a_channel_that_has_served_is_replaced_at_once() -> None:
    """However often: each loss costs only the usual pause."""
    assert ending(SHORT_LIFE_SECONDS, until=600.0) >= 54
