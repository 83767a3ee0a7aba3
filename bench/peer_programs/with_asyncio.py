"""(d) The usual Python: `websockets`, `orjson` and `aiokafka` on asyncio, batched, idempotent, LZ4.

What it is given and prints, `bench.parts.contenders` says.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from websockets.asyncio.client import connect

MEDIA = (
    *("calls", "callbacks", "chats", "emails", "messages", "videos", "screenshares"),
    *("cobrowsesessions", "socialExpressions", "internalMessages", "screenmonitorings"),
)
MOST_ON_THE_WAY = 20_000


def records(text: str | bytes, legs: dict[str, dict[str, Any]]) -> list[tuple[bytes, bytes]]:
    """What a frame changed, a flat record each: the same short rules as the Node peers'."""
    message = orjson.loads(text)
    topic, body = message.get("topicName"), message["eventBody"]
    found = []
    for participant in body.get("participants", ()):
        for media in MEDIA:
            for leg in participant.get(media, ()):
                last = legs.get(leg["id"], {"held": False})
                now = {
                    "state": leg["state"],
                    "held": leg.get("held", False),
                    "acw": participant.get("startAcwTime"),
                    "wrapup": participant.get("wrapup", {}).get("code"),
                }
                for kind, value in now.items():
                    if value is None or value == last.get(kind):
                        continue
                    record = {
                        "conversationId": body["id"],
                        "participantId": participant["id"],
                        "communicationId": leg["id"],
                        "purpose": participant.get("purpose"),
                        "userId": participant.get("userId"),
                        "queueId": participant.get("queueId"),
                        "mediaType": media,
                        "direction": leg.get("direction"),
                        "change": kind,
                        "state": leg["state"],
                        "held": now["held"],
                        "disconnectType": leg.get("disconnectType"),
                        "wrapupCode": now["wrapup"],
                        "connectedTime": leg.get("connectedTime"),
                        "disconnectedTime": leg.get("disconnectedTime"),
                        "topic": topic,
                        "receivedAt": datetime.now(UTC).isoformat(),
                    }
                    found.append((body["id"].encode(), orjson.dumps(record)))
                legs[leg["id"]] = now
    return found


async def run(uri: str, kafka: str, topic: str, frames: int, ca: str, **_: Any) -> dict[str, Any]:
    """Read all frames and produce; what it cost once all is acknowledged."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, enable_idempotence=True, compression_type="lz4", linger_ms=5
    )
    await producer.start()
    context = ssl.create_default_context(cafile=ca) if ca else None
    legs: dict[str, dict[str, Any]] = {}
    seen = sent = 0
    pending: set[asyncio.Future[Any]] = set()
    try:
        async with connect(uri, ssl=context, compression=None, max_size=None) as socket:
            started, cpu = time.perf_counter(), time.process_time()
            await socket.send("x")
            while seen < frames:
                text = await socket.recv()
                seen += 1
                for key, value in records(text, legs):
                    future = await producer.send(topic, value, key=key)
                    pending.add(future)
                    future.add_done_callback(pending.discard)
                    sent += 1
                if len(pending) > MOST_ON_THE_WAY:
                    await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            await producer.flush()
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    finally:
        await producer.stop()
    return {"frames": seen, "seconds": wall, "cpu": cpu, "records": sent}


def memory() -> dict[str, float]:
    """Of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rss_mb": pages * os.sysconf("SC_PAGESIZE") / 2**20,
    }


if __name__ == "__main__":
    outcome = asyncio.run(run(**json.loads(os.environ["BENCH_TASK"])))
    print(json.dumps({**outcome, **memory()}))
