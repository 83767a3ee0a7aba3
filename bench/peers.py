"""The listener beside what others write: `make bench-peers`, or `python -m bench.peers`.

Also beside the least that a listener can do (`bench.parts.contenders`): `raw` and `floor`.

Every run reads the same frames over the same kind of socket into the same Apache Kafka, and ends
with the last acknowledgement; runs are taken in turn. The peers, in `bench/peer_programs/`:

(a) the script of the tutorials: Node on `ws` and `kafkajs`, every send awaited
(b) the same tuned: batches, LZ4, several on their way
(c) Node on librdkafka, by Confluent's client
(d) Python on asyncio: `websockets`, `aiokafka`, `orjson`

They make one short record of each change of a leg; ours makes the contract's events, with ids and
headers, and keeps account of what is not yet acknowledged. Slow ones get fewer frames.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from bench.listener import CONTENDERS, TRANSPORTS, Grounds, Setting, warm_ups
from bench.parts.contenders import Outcome
from bench.report import conditions, interleaved, middle, spread, table
from harness.traffic import KINDS

PROGRAMS: Final = Path(__file__).parent / "peer_programs"
BASE: Final = "native" if "native" in CONTENDERS else "ours"


class Peer(NamedTuple):
    """The program's command, and its share of the frames."""

    argv: Sequence[str]
    share: float


PEERS: Final = {
    **{name: Peer(argv, 1.0) for name, argv in CONTENDERS.items()},
    "a: ws + kafkajs": Peer(("node", str(PROGRAMS / "naive.mjs")), 0.05),
    "b: the same, tuned": Peer(("node", str(PROGRAMS / "tuned.mjs")), 0.25),
    "c: ws + librdkafka": Peer(("node", str(PROGRAMS / "librdkafka.mjs")), 0.25),
    "d: asyncio": Peer((sys.executable, str(PROGRAMS / "with_asyncio.py")), 0.25),
}
HEAD: Final = (
    *("contender", "socket", "traffic", "frames/s", "", "µs CPU/frame", ""),
    *("records/frame", "RSS MB", "CPU to raw", f"{BASE}: frames/s", f"{BASE}: CPU"),
)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=4200)
    parser.add_argument("--transports", default=",".join(TRANSPORTS))
    parser.add_argument("--traffic", default=",".join(KINDS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kafka", default="", help="bootstrap servers; one broker is started else")
    options = parser.parse_args()
    if shutil.which("node") is None or not (PROGRAMS / "node_modules").is_dir():
        sys.exit("bench.peers: the Node programs are not installed; run `make bench-peers`")
    settings = [
        Setting(name, transport, traffic, options.size)
        for traffic in options.traffic.split(",")
        for transport in options.transports.split(",")
        for name in PEERS
    ]
    with ExitStack() as stack:
        grounds = Grounds(stack, options)

        def measure(setting: Setting) -> Outcome:
            argv, share = PEERS[setting.contender]
            return grounds.race(argv, setting, int(options.frames * share))

        print(conditions())
        print(f"up to {options.frames} frames a run, {options.runs} runs in turn, medians")
        for traffic in dict.fromkeys(setting.traffic for setting in settings):
            print(f"{options.size} B, {grounds.lap(traffic, options.size)[0]}")
        results = interleaved(settings, options.runs, measure, warm_up=warm_ups(settings))
    print(table(HEAD, rows(results)))


def rows(results: dict[Setting, list[Outcome]]) -> Iterator[tuple[str, ...]]:
    """The table's lines; the last two columns say how many times better the listener is."""
    for setting, outcomes in results.items():
        rates = [outcome.rate for outcome in outcomes]
        costs = [outcome.cpu_us for outcome in outcomes]
        base = results[setting._replace(contender=BASE)]
        raw = results[setting._replace(contender="raw")]
        faster = middle(outcome.rate for outcome in base) / middle(rates)
        cheaper = middle(costs) / middle(outcome.cpu_us for outcome in base)
        to_raw = middle(costs) / middle(outcome.cpu_us for outcome in raw)
        yield (
            setting.contender,
            setting.transport,
            setting.traffic,
            f"{middle(rates):,.0f}",
            spread(rates),
            f"{middle(costs):.1f}",
            spread(costs),
            f"{middle(outcome.records / outcome.frames for outcome in outcomes):.2f}",
            f"{middle(outcome.rss_mb for outcome in outcomes):.0f}",
            f"{to_raw:.1f}",
            f"x {faster:.1f}",
            f"x {cheaper:.1f}",
        )


if __name__ == "__main__":
    main()
