"""`python -m bench.simulator`: how fast the simulator feeds sockets, so that it is no bottleneck.

Starts a simulator of 50,000 users and 500 queues, opens 100 sockets on five OAuth clients, lets it
push pre-built frames as fast as they are taken, and reads them away without looking inside. Prints
frames/s, and frames per second of the simulator's own CPU, which holds on a busy machine too.
"""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import time
from typing import Any, Final

import urllib3
import websocket

from bench.report import cpu_seconds

CLIENTS: Final = 5
SOCKETS: Final = 100
TOPICS: Final = 500
SECONDS: Final = 5.0
ROUNDS: Final = 5
WANTED: Final = 20_000


def main() -> int:
    """Run and print the table. 1 where the median is below what benchmarks need."""
    clients = [f"bench-{number}" for number in range(CLIENTS)]
    command = [sys.executable, "-m", "simulator", "--port", "0", "--users", "50000"]
    command += ["--queues", "500", "--no-autostart", "--heartbeat", "3600"]
    for client in clients:
        command += ["--client", f"{client}:secret"]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            print(f"ready with 50,000 users and 500 queues in {time.monotonic() - began:.2f} s")
            return _feed(url, clients, process.pid)
        finally:
            process.terminate()


def _feed(url: str, clients: list[str], pid: int) -> int:
    readers = selectors.DefaultSelector()
    users = _users(url, _token(url, clients[0]))
    for number in range(SOCKETS):
        token = _token(url, clients[number % CLIENTS])
        channel = _call("POST", f"{url}/api/v2/notifications/channels", token, {})
        first = number * TOPICS % len(users)
        topics = [{"id": f"v2.users.{u}.conversations"} for u in users[first : first + TOPICS]]
        path = f"{url}/api/v2/notifications/channels/{channel['id']}/subscriptions"
        socket = websocket.create_connection(channel["connectUri"], timeout=10)
        _call("PUT", path, token, topics)
        assert socket.sock is not None
        socket.sock.setblocking(False)
        readers.register(socket.sock, selectors.EVENT_READ, socket)
    _control(url, {"action": "load", "load": 0})
    rates, per_core = [], []
    for _ in range(ROUNDS):
        frames, cpu, began = _sent(url), cpu_seconds(pid), time.monotonic()
        _drain(readers, began + SECONDS)
        frames, cpu, seconds = _sent(url) - frames, cpu_seconds(pid) - cpu, time.monotonic() - began
        rates.append(frames / seconds)
        per_core.append(frames / cpu)
    print(f"{'':24}{'min':>10}{'median':>10}{'max':>10}")
    for name, values in (("frames/s", rates), ("frames/s of its CPU", per_core)):
        low, *_, high = ordered = sorted(values)
        print(f"{name:24}{low:10,.0f}{ordered[ROUNDS // 2]:10,.0f}{high:10,.0f}")
    return 0 if sorted(per_core)[ROUNDS // 2] >= WANTED else 1


def _drain(readers: selectors.BaseSelector, until: float) -> None:
    buffer = bytearray(1 << 20)
    while time.monotonic() < until:
        for key, _ in readers.select(0.1):
            key.data.sock.recv_into(buffer)


def _users(url: str, token: str) -> list[str]:
    users: list[str] = []
    for page in range(1, 101):
        path = f"{url}/api/v2/users?pageSize=500&pageNumber={page}"
        users += [user["id"] for user in _call("GET", path, token)["entities"]]
    return users


def _token(url: str, client: str) -> str:
    form = {"content-type": "application/x-www-form-urlencoded"}
    headers = form | urllib3.make_headers(basic_auth=f"{client}:secret")
    body = b"grant_type=client_credentials"
    answer = urllib3.request("POST", f"{url}/oauth/token", body=body, headers=headers)
    return str(answer.json()["access_token"])


def _call(method: str, url: str, token: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    answer = (
        urllib3.request(method, url, json=body, headers=headers)
        if body is not None
        else (urllib3.request(method, url, headers=headers))
    )
    assert answer.status == 200, (answer.status, answer.data[:200])
    return answer.json()


def _control(url: str, order: dict[str, Any]) -> None:
    answer = urllib3.request("POST", f"{url}/_sim/control", json=order)
    assert answer.status == 200, answer.data[:200]


def _sent(url: str) -> int:
    return int(urllib3.request("GET", f"{url}/_sim/stats").json()["load"]["frames"])


if __name__ == "__main__":
    raise SystemExit(main())
