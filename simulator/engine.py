"""Plays conversations: starts them at a rate, steps their scripts when due, publishes snapshots.

Shell: one task on the event loop. The rules are pure and are in other modules.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from simulator.clock import Clock
from simulator.faults import FaultBook
from simulator.frames import encode_body
from simulator.hub import Hub
from simulator.ids import uuid_from
from simulator.ledger import Ledger, Truth, Witness
from simulator.model import Conversation
from simulator.org import Org, Staff
from simulator.quirks import Quirks
from simulator.scenarios import DEFAULT_WEIGHTS, SCENARIOS, Playbill, Script, Stage
from simulator.settings import Settings
from simulator.shapes import nested
from simulator.shapes.status import activity_body as activity
from simulator.shapes.status import presence_body as presence
from simulator.shapes.status import routing_status_body as routing
from simulator.shapes.status import summary_body as summary

MIN_PAUSE_SECONDS = 0.004
TWIN_SECONDS = (0.02, 0.15)
#: Steps in a row before other tasks of the loop run.
SLICE = 64
IDLE_SECONDS = 0.25


class Play(msgspec.Struct, kw_only=True):
    """A conversation with the script that plays it."""

    conversation: Conversation
    scenario: str
    stage: Stage
    script: Script
    witness: Witness
    step: int = 0
    #: A fault swallows all further frames.
    silent: bool = False


class Engine:
    """Plays the org's conversations."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        org: Org,
        hub: Hub,
        ledger: Ledger,
        faults: FaultBook,
    ) -> None:
        self._faults = faults
        self._clock = clock
        self._org = org
        self._hub = hub
        self._ledger = ledger
        self._rng = random.Random(f"conversations-{settings.seed}")
        self.staff = Staff(org, random.Random(f"staff-{settings.seed}"))
        self.playbill = Playbill(
            settings.media or DEFAULT_WEIGHTS, random.Random(f"playbill-{settings.seed}")
        )
        self.rate = settings.rate
        self.speed = settings.speed
        self.running = settings.autostart
        self.draining = False
        self.limit = settings.conversations
        #: Answers to open questions, for the conversations that begin from now on.
        self.quirks = Quirks()
        self.started = 0
        self.ended = 0
        self.by_media: dict[str, int] = {}
        self._retained = settings.retained
        self.plays: dict[str, Play] = {}
        self.archive: OrderedDict[str, Conversation] = OrderedDict()
        self._due: list[tuple[float, int, Play, int]] = []
        self._order = itertools.count()
        self._next_start = time.monotonic()
        self._wake = asyncio.Event()

    def find(self, conversation_id: str) -> Conversation | None:
        """A conversation that is played, or ended and kept."""
        play = self.plays.get(conversation_id)
        return play.conversation if play else self.archive.get(conversation_id)

    def start_one(self, scenario: str | None = None) -> Conversation:
        """Begin a conversation now, of the named scenario or the next one."""
        name = scenario or self.playbill.next()
        media, direction, _, write = SCENARIOS[name]
        now = self._clock.now_ms()
        conversation = Conversation(
            id=uuid_from(self._rng),
            media=media,
            direction=direction,
            started_ms=now,
            division_id=self._org.division_id,
        )
        rng = random.Random(self._rng.getrandbits(64))
        stage = Stage(conversation, self._org, self.staff, rng, self.quirks)
        self._begin(name, stage, write(stage))
        return conversation

    def _begin(self, name: str, stage: Stage, script: Script) -> None:
        conversation = stage.conversation
        play = Play(
            conversation=conversation,
            scenario=name,
            stage=stage,
            script=script,
            witness=Witness(conversation),
        )
        self.plays[conversation.id] = play
        self.started += 1
        media = conversation.media
        self.by_media[media] = self.by_media.get(media, 0) + 1
        self._step(play)

    def resume(self) -> None:
        """Start conversations (again)."""
        self.running, self.draining = True, False
        self._next_start = time.monotonic()
        self._wake.set()

    def pause(self) -> None:
        """Start no new conversations. Live conversations go on."""
        self.running = False

    def drain(self) -> None:
        """Start no new conversations, and bring live ones quickly to their ends."""
        self.running, self.draining = False, True
        now = time.monotonic()
        pending, self._due = self._due, []
        for _, _, play, step in pending:
            play.stage.draining = True
            heapq.heappush(self._due, (now, next(self._order), play, step))
        self._wake.set()

    def publish(self, play: Play) -> int:
        """Send the present snapshot to its topics. Returns how many sockets took it."""
        conversation = play.conversation
        shown = play.witness.look(self._ledger)
        if self._swallowed(play, shown):
            for record in shown:
                record.swallowed = True
            return 0
        topics = [t for t in self._topics(conversation) if self._hub.channels.listeners(t)]
        if not topics:
            return 0
        body = encode_body(nested.conversation_body(conversation))
        taken = self._hub.publish(topics, body, lambda: mark_sent(shown))
        if taken:
            play.witness.taken(shown)
        return taken

    def _topics(self, conversation: Conversation) -> list[str]:
        topics = [f"v2.users.{user}.conversations" for user in conversation.users]
        queues = list(conversation.queues)
        if not self.quirks.queue_after_transfer:
            queues = queues[-1:]
        return topics + [f"v2.routing.queues.{queue}.conversations" for queue in queues]

    def _swallowed(self, play: Play, shown: list[Truth]) -> bool:
        if not play.silent:
            news = [(record.event_type, record.media_type) for record in shown]
            now = time.monotonic()
            play.silent = self._faults.swallows(play.conversation.id, news, now)
        return play.silent

    def _publish_status(self) -> None:
        """Send routing status, activity and counts of the users whose work changed."""
        changes, self.staff.changed = self.staff.changed, []
        now = self._clock.now_ms()
        for change in changes:
            user, word = change.user_id, change.routing_status
            base = f"v2.users.{user}"
            current = change.presence or "ON_QUEUE"
            bodies: dict[str, Callable[[], dict[str, Any]]] = {
                "routingStatus": functools.partial(routing, user, word, now),
                "activity": functools.partial(activity, user, current, word, now),
                "conversationsummary": functools.partial(summary, user, self._of_user(user)),
            }
            if change.presence is not None:
                bodies["presence"] = functools.partial(presence, current, now)
            for suffix, make in bodies.items():
                topic = f"{base}.{suffix}"
                if self._hub.channels.listeners(topic):
                    self._hub.publish([topic], encode_body(make()))

    def _of_user(self, user: str) -> Iterator[Conversation]:
        return (p.conversation for p in self.plays.values() if user in p.conversation.users)

    def every_conversation(self) -> Iterator[Conversation]:
        """The played and the kept conversations."""
        yield from [play.conversation for play in self.plays.values()]
        yield from list(self.archive.values())

    def forget(self, conversation_id: str | None) -> int:
        """Purge a conversation from REST, or every ended one without an id. Returns how many."""
        if conversation_id is None:
            count = len(self.archive)
            self.archive.clear()
            return count
        play = self.plays.pop(conversation_id, None)
        if play is not None:
            play.step = -1  # its pending steps then do nothing
        return int(play is not None or self.archive.pop(conversation_id, None) is not None)

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            now = time.monotonic()
            self._start_due(now)
            done = 0
            while self._due and self._due[0][0] <= now and done < SLICE:
                _, _, play, step = heapq.heappop(self._due)
                done += 1
                if step < 0:
                    self._twin(play, -step)
                elif step == play.step:
                    self._step(play)
            if self.staff.changed:
                self._publish_status()
            await self._sleep(time.monotonic())

    def _start_due(self, now: float) -> None:
        started = 0
        while self.running and self.rate > 0 and self._next_start <= now and started < SLICE:
            if self.limit is not None and self.started >= self.limit:
                self.running = False
                break
            self.start_one()
            started += 1
            self._next_start += 1 / self.rate
        if self.running and now - self._next_start > 1:
            self._next_start = now  # too slow for the rate: do not catch up

    def _step(self, play: Play) -> None:
        """Let the script go on to its next beat, and send what changed."""
        play.step += 1
        play.stage.now = self._clock.now_ms()
        play.stage.draining = self.draining
        beat = next(play.script, None)
        offspring, play.stage.offspring = play.stage.offspring, []
        for child in offspring:
            child.stage.now = play.stage.now
            self._begin(child.name, child.stage, child.script)
        if beat is None:
            if play.conversation.pending:
                self.publish(play)
            self._finish(play)
            return
        if beat.frame:
            self.publish(play)
        factor = self.speed * self._clock.scale
        pause = MIN_PAUSE_SECONDS if self.draining else max(MIN_PAUSE_SECONDS, beat.wait / factor)
        now = time.monotonic()
        heapq.heappush(self._due, (now + pause, next(self._order), play, play.step))
        if beat.frame and beat.twin:
            after = self._rng.uniform(*TWIN_SECONDS)
            if after < pause:
                heapq.heappush(self._due, (now + after, next(self._order), play, -play.step))

    def _twin(self, play: Play, step: int) -> None:
        """Send the second of two equal snapshots, unless the conversation went on meanwhile."""
        if step == play.step:
            self.publish(play)

    def _finish(self, play: Play) -> None:
        conversation = play.conversation
        conversation.finished = True
        del self.plays[conversation.id]
        self.ended += 1
        self.archive[conversation.id] = conversation
        while len(self.archive) > self._retained:
            self.archive.popitem(last=False)

    async def _sleep(self, now: float) -> None:
        until = now + IDLE_SECONDS
        if self._due:
            until = min(until, self._due[0][0])
        if self.running and self.rate > 0:
            until = min(until, self._next_start)
        if until <= now:
            await asyncio.sleep(0)
            return
        self._wake.clear()
        try:
            async with asyncio.timeout(until - now):
                await self._wake.wait()
        except TimeoutError:
            return

    def stats(self) -> dict[str, Any]:
        """Numbers for `/_sim/stats`."""
        return {
            "running": self.running,
            "draining": self.draining,
            "rate": self.rate,
            "speed": self.speed,
            "started": self.started,
            "active": len(self.plays),
            "live": sum(1 for p in self.plays.values() if p.conversation.live()),
            "ended": self.ended,
            "by_media": dict(self.by_media),
            "agents_busy": self.staff.busy,
        }


def mark_sent(records: list[Truth]) -> None:
    """Note that the frame with these records was sent."""
    now_ms = int(time.time() * 1000)
    for record in records:
        if record.first_sent_ms is None:
            record.first_sent_ms = now_ms
