"""The users and queues of the simulated org, their divisions, and which users are free.

Everything follows from the seed, so two runs have the same ids. 50,000 users are two lists of
strings; the JSON of a user is made on request.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from simulator.ids import uuid_from

QUEUES_PER_USER = 3
WRAPUP_CODE_NAMES = ("Resolved", "Follow-up", "Transferred", "Wrong number", "Sale", "Complaint")


class Org:
    """Ids of users, queues and wrap-up codes. Membership is computed from their positions."""

    def __init__(self, users: int, queues: int, seed: int, divisions: int = 1) -> None:
        rng = random.Random(f"org-{seed}")
        self.id = uuid_from(rng)
        self.division_id = uuid_from(rng)
        division_random = random.Random(f"divisions-{seed}")
        self.division_ids = [
            self.division_id,
            *(uuid_from(division_random) for _ in range(divisions - 1)),
        ]
        self.queues = [uuid_from(rng) for _ in range(queues)]
        self.users = [uuid_from(rng) for _ in range(users)]
        self.wrapup_codes = [uuid_from(rng) for _ in WRAPUP_CODE_NAMES]
        #: Id of a user or queue → `inactive` or `deleted`. The others are active.
        self.states: dict[str, str] = {}
        self._user_index = {user: n for n, user in enumerate(self.users)}
        self._queue_index = {queue: n for n, queue in enumerate(self.queues)}

    def add_user(self, user_id: str) -> None:
        """Add a user with a given id (recorded frames have their own ids)."""
        if user_id not in self._user_index:
            self._user_index[user_id] = len(self.users)
            self.users.append(user_id)

    def hire(self, count: int) -> None:
        """Add `count` users; their ids follow from the number of users before."""
        rng = random.Random(f"hired-{len(self.users)}")
        for _ in range(count):
            self.add_user(uuid_from(rng))

    def add_queue(self, queue_id: str) -> None:
        """Add a queue with a given id."""
        if queue_id not in self._queue_index:
            self._queue_index[queue_id] = len(self.queues)
            self.queues.append(queue_id)

    def members(self, queue_id: str) -> range:
        """The positions in `users` of a queue's members. Every queue has members."""
        index = self._queue_index[queue_id]
        step = max(1, len(self.queues) // QUEUES_PER_USER)
        return range(index % step if index % step < len(self.users) else 0, len(self.users), step)

    def has_user(self, user_id: str) -> bool:
        """Whether the org has this user, active or not."""
        return user_id in self._user_index and self.state(user_id) != "deleted"

    def is_user(self, entity_id: str) -> bool:
        """Whether the id is a user's, deleted ones included."""
        return entity_id in self._user_index

    def has_queue(self, queue_id: str) -> bool:
        """Whether the org has this queue."""
        return queue_id in self._queue_index and self.state(queue_id) == "active"

    def state(self, entity_id: str) -> str:
        """`active`, `inactive` or `deleted`."""
        return self.states.get(entity_id, "active")

    def change_states(self, states: dict[str, str]) -> None:
        """Delete users and queues, make users inactive or active again. Raises `ValueError`."""
        for entity_id, state in states.items():
            if entity_id not in self._user_index and entity_id not in self._queue_index:
                raise ValueError(f"no user or queue {entity_id}")
            if state not in ("active", "inactive", "deleted"):
                raise ValueError(f"{state!r} is not active, inactive or deleted")
            self.states[entity_id] = state

    def division_of_user(self, user_id: str) -> int:
        """The number (from 1) of a user's division: users take turns."""
        return self._user_index[user_id] % len(self.division_ids) + 1

    def division_of_queue(self, queue_id: str) -> int:
        """The number (from 1) of a queue's division: queues take turns."""
        return self._queue_index[queue_id] % len(self.division_ids) + 1

    def divisions_of(self, queues: Iterable[str], users: Iterable[str]) -> frozenset[int]:
        """The divisions of a conversation's queues and users. Home if it has neither."""
        found = {self.division_of_queue(queue) for queue in queues if queue in self._queue_index}
        found |= {self.division_of_user(user) for user in users if user in self._user_index}
        return frozenset(found or {1})

    def queue_name(self, queue_id: str) -> str:
        """The name of a queue."""
        return f"Queue {self._queue_index[queue_id] + 1:03d}"

    def user_body(self, user_id: str) -> dict[str, Any]:
        """The REST body of a user (class User), without expansions."""
        number = self._user_index[user_id] + 1
        return {
            "id": user_id,
            "name": f"Agent {number:05d}",
            "division": self.division(self.division_of_user(user_id)),
            "chat": {"jabberId": f"agent{number:05d}@sim.example.invalid"},
            "email": f"agent{number:05d}@example.invalid",
            "primaryContactInfo": [],
            "addresses": [],
            "state": self.state(user_id),
            "username": f"agent{number:05d}@example.invalid",
            "version": 7,
            "acdAutoAnswer": False,
            "selfUri": f"/api/v2/users/{user_id}",
        }

    def queue_body(self, queue_id: str) -> dict[str, Any]:
        """The REST body of a queue (class Queue)."""
        members = len(self.members(queue_id))
        return {
            "id": queue_id,
            "name": self.queue_name(queue_id),
            "division": self.division(self.division_of_queue(queue_id)),
            "memberCount": members,
            "userMemberCount": members,
            "joinedMemberCount": members,
            "acwSettings": {"wrapupPrompt": "OPTIONAL", "timeoutMs": 120000},
            "skillEvaluationMethod": "BEST",
            "selfUri": f"/api/v2/routing/queues/{queue_id}",
        }

    def division(self, number: int = 1) -> dict[str, Any]:
        """A division by its number. The first is called Home, as in every org."""
        division_id = self.division_ids[number - 1]
        return {
            "id": division_id,
            "name": "Home" if number == 1 else f"Division {number}",
            "selfUri": f"/api/v2/authorization/divisions/{division_id}",
        }


class StatusChange(msgspec.Struct, frozen=True):
    """A change for a user's status topics. `presence` is None if it did not change."""

    user_id: str
    routing_status: str
    presence: str | None = None


class Staff:
    """Knows which users are busy or away, and picks free members of a queue.

    A user who missed an alert is NOT_RESPONDING, and some go AWAY after work. Both are skipped for
    the next `ABSENT_PICKS` picks, so no clock is needed.
    """

    #: How many random members are tried before the caller has to wait in the queue.
    TRIES = 12
    ABSENT_PICKS = 5
    AWAY_PROBABILITY = 0.1

    def __init__(self, org: Org, rng: random.Random) -> None:
        self._org = org
        self._rng = rng
        self._busy: set[str] = set()
        #: Absent users, each with the pick at which the user is back, soonest first.
        self._absent: dict[str, int] = {}
        self._picks = 0
        self._seen: set[str] = set()
        #: Changes that the status topics have not sent yet.
        self.changed: list[StatusChange] = []

    def pick(self, queue_id: str, avoid: str | None = None) -> str | None:
        """A free member of the queue, marked busy, or None."""
        members = self._org.members(queue_id)
        return self._choose(lambda: self._org.users[self._rng.choice(members)], avoid)

    def anyone(self, avoid: str | None = None) -> str | None:
        """Any free user of the org, marked busy (direct calls have no queue)."""
        return self._choose(lambda: self._rng.choice(self._org.users), avoid)

    def release(self, user_id: str, missed: bool = False) -> None:
        """Note that the user's work is over, or was missed."""
        if user_id not in self._busy:
            return
        self._busy.discard(user_id)
        if missed:
            self._absent[user_id] = self._picks + self.ABSENT_PICKS
            self.changed.append(StatusChange(user_id, "NOT_RESPONDING"))
        elif self._rng.random() < self.AWAY_PROBABILITY:
            self._absent[user_id] = self._picks + self.ABSENT_PICKS
            self.changed.append(StatusChange(user_id, "OFF_QUEUE", "AWAY"))
        else:
            self.changed.append(StatusChange(user_id, "IDLE"))

    @property
    def busy(self) -> int:
        """The number of busy users."""
        return len(self._busy)

    def _choose(self, draw: Callable[[], str], avoid: str | None) -> str | None:
        self._picks += 1
        self._welcome_back()
        for _ in range(self.TRIES):
            user = draw()
            is_free = user not in self._busy and user not in self._absent
            if user != avoid and is_free and self._org.state(user) == "active":
                self._busy.add(user)
                first = None if user in self._seen else "ON_QUEUE"
                self._seen.add(user)
                self.changed.append(StatusChange(user, "INTERACTING", first))
                return user
        return None

    def _welcome_back(self) -> None:
        while self._absent:
            user, due = next(iter(self._absent.items()))
            if due > self._picks:
                return
            del self._absent[user]
            self.changed.append(StatusChange(user, "IDLE", "ON_QUEUE"))
