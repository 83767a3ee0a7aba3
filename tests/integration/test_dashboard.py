"""The dashboard in a real browser: figures, states that are not fine, keyboard, themes, doors.

Chromium is Debian's; axe-core looks for what people with assistive technology would stumble over.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import redis
from selenium.webdriver.common.keys import Keys as Key

from harness.browser import DESKTOP, PHONE, WAIT_SECONDS, Browser, BrowserUnavailable
from harness.dashboard import (
    QUEUES,
    Dashboard,
    conversation,
    dashboard,
    figures,
    fleet_by_hand,
    produce,
    until_shown,
)
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import ManagedProcess, free_ports, wait_until
from harness.redis import RedisServer
from mirror.fleet.backfill import file_backfill
from mirror.fleet.gaps import Gap, GapKind, OngoingGap, encode, file_gap, new_id
from mirror.redis.keys import Keys as Keyspace
from mirror.settings import load
from mirror.supervision.heartbeat_file import read_heartbeat
from tests.services.availability import unavailable

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    # Selenium leaves a socket to its driver to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

AXE = Path(__file__).parents[1] / "vendor" / "axe-core" / "axe.min.js"
# It looks at every element against every rule: 2 s on a quiet machine, much more on a busy one.
AXE_SECONDS = 90.0
TOKEN = "a-token-that-nobody-guesses"
COURSES = ["waiting"] * 5 + ["ringing"] + ["talking"] * 9 + ["held"] * 2 + ["over"] * 5
SHOWN = {"waiting": 6, "talking": 9, "held": 2, "live": 17}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    try:
        made = Browser()
    except BrowserUnavailable as missing:
        unavailable(str(missing))
    with made:
        yield made


@pytest.fixture
def env(kafka: str, redis_url: str, make_topic: Callable[..., str]) -> dict[str, str]:
    """The environment of a dashboard whose topics exist and are empty."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "REDIS_URL": redis_url,
        "MIRROR_TOPIC": make_topic(partitions=4),
        "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
        "MIRROR_STARTUP_TIMEOUT": "20s",
    }


@pytest.fixture
def served(tmp_path: Path, env: dict[str, str]) -> Iterator[Dashboard]:
    """A dashboard that shows a small floor and a mirror of twelve shards."""
    settings = load(env)
    produce(
        settings, [event for n, course in enumerate(COURSES) for event in conversation(n, course)]
    )
    with redis.Redis.from_url(env["REDIS_URL"], decode_responses=True) as client:
        fleet_by_hand(client, settings)
    made = dashboard(tmp_path, env)
    with beating(env["REDIS_URL"]), made.process:
        yield made.until_listening().until_open()


@contextmanager
def beating(redis_url: str) -> Iterator[None]:
    """Let all listeners of the fleet by hand beat."""
    done = threading.Event()
    name = "mirror:{default}:beats"

    def beat() -> None:
        with redis.Redis.from_url(redis_url, decode_responses=True) as client:
            while not done.wait(0.5):
                with suppress(redis.RedisError):
                    now = round(time.time() * 1000)
                    beats = {str(member): now for member in client.zrange(name, 0, -1)}
                    if beats:
                        client.zadd(name, beats)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def rows(browser: Browser) -> int:
    """How many conversations the page lists."""
    return len(browser.driver.find_elements("css selector", "#rows tr"))


def violations(browser: Browser) -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA and its best practices, one line each."""
    if not browser.run("return !!window.axe"):
        browser.run(AXE.read_text(encoding="utf-8"))
    browser.driver.set_script_timeout(AXE_SECONDS)
    try:
        found: dict[str, Any] = browser.run_async(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']})"
            ".then(done, (e) => done({error: `${e}`}))"
        )
    finally:
        browser.driver.set_script_timeout(WAIT_SECONDS)
    assert "error" not in found, found
    return [
        f"{broken['id']}: {broken['help']}: {[node['html'][:120] for node in broken['nodes'][:3]]}"
        for broken in found["violations"]
    ]


def test_the_floor_shows_what_the_stream_tells(browser: Browser, served: Dashboard) -> None:
    """Figures at once, new ones within a second of their events; one queue alone; a timeline."""
    browser.open(served.url + "/")
    until_shown(browser, **SHOWN)
    assert re.search(r"longest [12]:\d\d", browser.text("[data-figure=longest]"))
    wait_until(lambda: rows(browser) == 17, 5, "the list")
    waiting = browser.run(
        "return [...document.querySelectorAll('#rows td:nth-child(2)')]"
        ".map((one) => [one.textContent, one.firstElementChild.dataset.state])"
        ".filter((one) => one[0].startsWith('waiting'))"
    )
    assert sorted(waiting) == [["waiting"] * 2] * 5 + [["waiting, an agent rings", "waiting"]]

    took = []
    for more in range(1, 4):
        produce(served.settings, conversation(100 + more, "waiting"))
        began = time.monotonic()
        until_shown(browser, waiting=6 + more, live=17 + more)
        took.append(time.monotonic() - began)
    assert min(took) < 1.5, took  # a tick, and the driver's own way; a busy machine may lose one

    browser.run(
        "const q = document.getElementById('queue'); q.value = arguments[0];"
        "q.dispatchEvent(new Event('change'))",
        QUEUES[0],
    )
    until_shown(browser, waiting=1, talking=1, held=1, live=3)  # numbers 0, 8 and 16
    wait_until(lambda: rows(browser) == 3, 5, "its list")
    browser.click("#rows tr .link")
    wait_until(lambda: browser.text("#dialog-legs") != "", 5, "the timeline")
    assert len(browser.driver.find_elements("css selector", "#dialog-chart rect.waiting")) == 1
    assert "mirror conversations 00000000-1111" in browser.text("#dialog-command")
    assert violations(browser) == []
    browser.press(Key.ESCAPE)
    assert not browser.run("return document.getElementById('dialog').open")
    assert browser.complaints() == []


def test_the_mirror_shows_seats_and_the_command_that_acts(
    browser: Browser, served: Dashboard
) -> None:
    """A lost and a rotating replica stand out; each thing has its command, which a click copies."""
    browser.open(served.url + "/#mirror")
    wait_until(lambda: browser.text("#verdict-title") == "Degraded", 10, "the verdict")
    states = browser.run(
        "return [...document.querySelectorAll('.seat')].map((one) => one.dataset.state)"
    )
    assert len(states) == 24
    assert {state: states.count(state) for state in states} == {
        "live": 22,
        "rotating": 1,
        "lost": 1,
    }
    assert "mirror drain south-100-abcd" in browser.text("#listeners")
    assert "42 records" in browser.text("#listeners")
    assert "draining: others take over its 7 channels" in browser.text("#listeners")
    assert "mirror undrain west-100-abcd" in browser.text("#listeners")
    assert "A drained listener gets no new channel." in browser.text("#mirror")
    assert "unfillable" in browser.text("#gaps")
    assert "read again by hand" not in browser.text("#gaps")
    assert len(browser.driver.find_elements("css selector", "#gaps-chart rect")) == 4
    settings = served.settings
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as client:
        file_backfill(client, Keyspace(settings.namespace), 1, 2, queues=QUEUES[:2])
    wait_until(lambda: "read again by hand" in browser.text("#gaps"), 10, "what it is")
    assert "2 topics" in browser.text("#gaps")
    assert "2 open, 1 open by hand, 1 filled" in browser.text("#gaps-note")
    assert "by hand" in browser.text("#gaps-chart")
    shown = browser.run("return document.body.innerText")
    assert "client-of-the-north-0815" not in shown
    assert "clie…815" in shown

    browser.run("document.querySelector('.seat').focus()")
    browser.press(Key.ARROW_RIGHT, Key.ENTER)
    wait_until(lambda: "mirror rotate streaming-1-0000…" in browser.text("#shard-detail"), 5, "it")
    allowed = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.command("Browser.grantPermissions", allowed)
    browser.click("#shard-detail .command")
    wait_until(lambda: browser.text("#spoken") == "Copied", 5, "it says so")
    copied = browser.run_async("navigator.clipboard.readText().then(arguments[0])")
    assert copied == "mirror rotate streaming-1-0000…"
    assert browser.complaints() == []


def test_a_shard_that_no_channel_receives_is_told(browser: Browser, served: Dashboard) -> None:
    """The Floor names it and stays live; the Mirror lists its gap, which ends now and has no
    command yet. Where a channel receives it again, all of that goes."""
    keys = Keyspace(served.settings.namespace)
    since_ms = round(time.time() * 1000) - 600_000
    with redis.Redis.from_url(served.settings.redis_url, decode_responses=True) as client:
        client.hset(keys.uncovered, "2", encode(OngoingGap("2", since_ms, 900)))
        browser.open(served.url + "/")
        told = re.compile(
            r"^Shard 2 \(900 topics\) is not received since .*\d\d:\d\d\. Figures of its"
        )
        wait_until(lambda: told.match(browser.text("#banner")), 10, "it is named")
        assert browser.text("#connection") == "live"
        browser.open(served.url + "/#mirror")
        wait_until(lambda: browser.text("#gaps tr") != "", 10, "the gaps")
        lasting = browser.run(
            "return [...document.querySelectorAll('#gaps tr')]"
            ".map((row) => [...row.children].map((cell) => cell.textContent))"
            ".find((cells) => cells[0] === 'lasting-2')"
        )
        assert lasting[1] == "2"
        assert lasting[3:] == ["now", "nobody received", "open", "0", ""]
        assert browser.text("[data-mirror='Gaps open']") == "3"
        client.hdel(keys.uncovered, "2")
        wait_until(lambda: "lasting-2" not in browser.text("#gaps"), 10, "it is received")
        browser.open(served.url + "/")
        wait_until(lambda: browser.text("#health-word") == ", degraded", 10, "its health")
        assert browser.text("#banner") == ""
        assert browser.complaints() == []


@pytest.mark.timeout(4 * AXE_SECONDS + 60)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_both_themes_can_be_used_by_everybody(
    browser: Browser, served: Dashboard, dark: bool
) -> None:
    """axe finds nothing in either view, on a desktop and on a phone; nothing scrolls sideways."""
    browser.prefer(dark=dark)
    try:
        for size in (DESKTOP, PHONE):
            browser.resize(size)
            for view, ready in (("floor", "#rows tr"), ("mirror", ".seat")):
                browser.open(f"{served.url}/#{view}")
                wait_until(lambda: browser.text(ready) != "", 10, view)  # noqa: B023 - at once
                assert browser.run("return document.documentElement.dataset.theme") == (
                    "dark" if dark else "light"
                )
                red, green, blue = map(int, re.findall(r"\d+", _background(browser))[:3])
                assert (red + green + blue < 150) is dark
                assert violations(browser) == [], (view, size)
                width = browser.run("return document.documentElement.scrollWidth")
                assert width <= size[0], (view, size)
    finally:
        browser.prefer(dark=False)
        browser.resize(DESKTOP)


@pytest.mark.parametrize("width", [1280, 1440])
def test_tables_of_the_mirror_fit_a_desktop(
    browser: Browser, served: Dashboard, width: int
) -> None:
    """Also with the first reading of a month: no table scrolls, and a command keeps its "copy"."""
    now_ms = round(time.time() * 1000)
    since_ms = now_ms - 31 * 86_400_000
    month = Gap(id=new_id(), shard="1", topics=("t",), from_ms=since_ms, to_ms=now_ms - 60_000)
    with redis.Redis.from_url(served.settings.redis_url, decode_responses=True) as client:
        for kind in get_args(GapKind):
            gap = msgspec.structs.replace(month, id=f"{month.id}-{kind[0]}", kind=kind)
            file_gap(client, Keyspace(served.settings.namespace), gap)
    browser.resize((width, 1000))
    try:
        browser.open(f"{served.url}/#mirror")
        wait_until(lambda: "first reading" in browser.text("#gaps"), 10, "the gap")
        too_wide = browser.run(
            "return [...document.querySelectorAll('#mirror table')]"
            ".filter((one) => one.scrollWidth > one.parentElement.clientWidth)"
            ".map((one) => one.tBodies[0].id)"
        )
        assert too_wide == []
        note = browser.text("#gaps-note")
        assert re.search("pale: .*first reading of what was active before the start", note)
        cut = browser.run(
            "return [...document.querySelectorAll('#gaps .command')]"
            ".filter((one) => one.scrollWidth > one.clientWidth).length"
        )
        assert cut == 0
        labels = browser.run(
            "return [...document.querySelectorAll('#gaps-chart text:not(.leg)')]"
            ".map((one) => one.textContent)"
        )
        assert all(re.fullmatch(r"\d+ \w+ \d\d:\d\d", label) for label in labels), labels
    finally:
        browser.resize(DESKTOP)


def _background(browser: Browser) -> str:
    found: str = browser.run("return getComputedStyle(document.documentElement).backgroundColor")
    return found


def test_the_keyboard_and_the_theme_button_work(browser: Browser, served: Dashboard) -> None:
    """Skip link first, then the views; a chosen theme outlives a reload and beats the system's."""
    browser.open(served.url + "/")
    browser.press(Key.TAB)
    assert browser.run("return document.activeElement.textContent") == "Skip to content"
    browser.press(Key.TAB, Key.TAB, Key.ENTER)
    wait_until(lambda: browser.text("#verdict-title") == "Degraded", 10, "the other view")
    assert browser.run("return document.activeElement.id") == "main"
    assert browser.driver.title.startswith("Mirror")
    for theme in ("light", "dark"):
        browser.click("#theme")
        assert browser.run("return document.documentElement.dataset.theme") == theme
    browser.open(served.url + "/")
    assert browser.run("return document.documentElement.dataset.theme") == "dark"
    browser.click("#theme")
    assert browser.run("return localStorage.getItem('theme')") is None


def test_it_reconnects_when_the_server_was_started_again(
    browser: Browser, served: Dashboard
) -> None:
    """It says that the connection is lost and since when, then shows what happened meanwhile."""
    browser.open(served.url + "/")
    until_shown(browser, **SHOWN)
    began = time.monotonic()
    served.process.send(signal.SIGTERM)
    assert served.process.wait(25) == 0
    assert time.monotonic() - began < 10, "an open stream does not hold it up"
    wait_until(lambda: "Connection lost at" in browser.text("#banner"), 10, "it says so")
    produce(served.settings, conversation(101, "waiting"))
    served.process.start()
    until_shown(browser, 30.0, waiting=7, live=18)
    wait_until(lambda: browser.text("#banner") == "", 10, "it is well again")
    assert browser.text("#connection") == "live"


def test_it_says_since_when_kafka_and_redis_are_away(
    browser: Browser,
    tmp_path: Path,
    redis_server_factory: Callable[..., RedisServer],
    kafka_cluster_factory: Callable[[int], KafkaCluster],
) -> None:
    """The page stays, says what is unreachable since when, and goes on by itself afterwards."""
    server, cluster = redis_server_factory(), kafka_cluster_factory(1)
    env = {"KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers, "REDIS_URL": server.url}
    for name in ("MIRROR_TOPIC", "MIRROR_DEAD_LETTER_TOPIC"):
        env[name] = create_topic(cluster.bootstrap_servers, name.lower())
    made = dashboard(tmp_path, env)
    with beating(server.url), made.process:
        made.until_listening().until_open()
        produce(made.settings, conversation(1, "waiting"))
        with server.client() as client:
            fleet_by_hand(client, made.settings)
        browser.open(made.url + "/")
        until_shown(browser, waiting=1, live=1)
        server.stop()
        cluster.brokers[0].kill()
        away = re.compile(r"Kafka unreachable since \d\d:\d\d.*Redis unreachable since \d\d:\d\d")
        wait_until(lambda: away.search(browser.text("#banner")), 20, "it says so")
        assert figures(browser)["waiting"] == 1, "what was known stays on the page"
        assert browser.text("#connection") == "not live"
        assert json.loads(made.fetch("/healthz")[2]) == {"health": "degraded"}
        browser.click("[data-view=mirror]")
        verdict = re.compile(r"Unknown since \d\d:\d\d")
        wait_until(lambda: verdict.fullmatch(browser.text("#verdict-title")), 10, "the verdict")
        beat = browser.text("#listeners tr td:nth-of-type(4)")
        assert browser.text("#listeners tr .word").startswith("was ")
        wait_until(
            lambda: browser.text("#listeners tr td:nth-of-type(4)") != beat, 5, "ages that grow"
        )
        assert violations(browser) == []
        browser.click("[data-view=floor]")
        server.start()
        with server.client() as client:
            fleet_by_hand(client, made.settings)
        cluster.brokers[0].start()
        cluster.wait_ready()
        wait_until(lambda: browser.text("#banner") == "", 40, "it is well again")
        produce(made.settings, conversation(2, "waiting"))
        until_shown(browser, 20.0, waiting=2, live=2)


def test_it_is_not_live_while_nothing_is_mirrored(
    browser: Browser, tmp_path: Path, env: dict[str, str]
) -> None:
    """No listener is alive: the Floor turns grey and says since when, and no age goes on. Where one
    comes back, all of that ends."""
    produce(load(env), conversation(1, "waiting"))
    with redis.Redis.from_url(env["REDIS_URL"], decode_responses=True) as client:
        fleet_by_hand(client, load(env))
    made = dashboard(tmp_path, env)
    with made.process:
        made.until_listening().until_open()
        with beating(env["REDIS_URL"]):
            browser.open(made.url + "/")
            wait_until(lambda: browser.text("#connection") == "live", 10, "it is live")
            longest = browser.text("[data-figure=longest]")
            wait_until(lambda: browser.text("[data-figure=longest]") != longest, 5, "ages go on")
        down = re.compile(r"Nothing is mirrored since \d\d:\d\d: no listener is alive")
        wait_until(lambda: down.search(browser.text("#banner")), 20, "it says so")
        assert browser.text("#connection") == "not live"
        assert "grayscale" in browser.run(
            "return getComputedStyle(document.getElementById('floor')).filter"
        )
        longest = browser.text("[data-figure=longest]")
        time.sleep(2.5)
        assert browser.text("[data-figure=longest]") == longest
        assert violations(browser) == []
        with beating(env["REDIS_URL"]):
            wait_until(lambda: browser.text("#connection") == "live", 10, "it is live again")
            assert browser.text("#banner") == ""


def test_filters_hold_for_all_panels_and_stand_in_the_address(
    browser: Browser, served: Dashboard
) -> None:
    """The link alone shows the same again; panels without the filters say so."""
    browser.open(f"{served.url}/#floor?queue={QUEUES[0]}&state=talking")
    until_shown(browser, waiting=0, talking=1, held=0, live=1)
    wait_until(lambda: rows(browser) == 1, 5, "its list")
    assert browser.text("[data-agents=talking]") == "1"
    assert len(browser.driver.find_elements("css selector", "#queues tr")) == 1
    notes = "return [...document.querySelectorAll('.unfiltered')].filter((one) => one.offsetHeight)"
    assert len(browser.run(notes)) == 2
    assert browser.run("return document.getElementById('queue').value") == QUEUES[0]
    browser.run("location.reload()")
    until_shown(browser, waiting=0, talking=1, held=0, live=1)

    browser.click("#clear")
    until_shown(browser, **SHOWN)
    assert browser.run("return location.hash") == "#floor"
    browser.run("document.getElementById('agent').focus()")
    browser.press("00000007")
    until_shown(browser, talking=1, live=1)
    assert "agent=00000007" in browser.run("return location.hash")
    browser.driver.back()
    until_shown(browser, talking=1, live=1, waiting=0)


def test_a_conversation_is_found_opened_and_linked(browser: Browser, served: Dashboard) -> None:
    """By the beginning of its id, also where it is over; its link opens it again, with a legend and
    all its events; an ended leg says so."""
    name = "00000011-1111-4111-8111-111111111111"  # number 17 is over
    browser.open(f"{served.url}/#floor")
    until_shown(browser, **SHOWN)
    browser.run("document.getElementById('beginning').focus()")
    browser.press("00000011", Key.ENTER)
    wait_until(lambda: browser.text("#dialog-events-count") != "", 10, "its timeline")
    assert f"open={name}" in browser.run("return location.hash")
    address = browser.driver.current_url
    browser.press(Key.ESCAPE)
    wait_until(lambda: "open=" not in browser.run("return location.hash"), 5, "it is closed")
    browser.open(address)
    wait_until(lambda: browser.text("#dialog-events-count") == "9", 10, "its events")
    assert "waiting" in browser.text("#dialog-legend")
    assert browser.text("#dialog-legs tr td:nth-of-type(4)") == "ended"
    assert browser.run("return document.querySelectorAll('#dialog-events tr').length") == 9
    assert violations(browser) == []


def test_a_line_of_the_ticker_opens_its_conversation(browser: Browser, served: Dashboard) -> None:
    """Each event is a way to its conversation."""
    browser.open(served.url + "/")
    until_shown(browser, **SHOWN)
    produce(served.settings, conversation(55, "waiting"))
    wait_until(lambda: browser.text("#ticker .line") != "", 10, "an event")
    browser.click("#ticker .line")
    wait_until(lambda: "00000037" in browser.text("#dialog-title"), 5, "its timeline")


def test_long_lists_have_pages(browser: Browser, tmp_path: Path, env: dict[str, str]) -> None:
    """Fifty a page, each conversation on one of them; the page stands in the address."""
    produce(load(env), [e for n in range(120) for e in conversation(n, "waiting", 300.0 - n)])
    made = dashboard(tmp_path, env)
    with made.process:
        made.until_listening().until_open()
        browser.open(made.url + "/")
        until_shown(browser, waiting=120)
        wait_until(lambda: browser.text("#page-now") == "1 to 50 of 120", 5, "the first page")
        seen: set[str] = set()
        for words in ("1 to 50 of 120", "51 to 100 of 120", "101 to 120 of 120"):
            wait_until(lambda: browser.text("#page-now") == words, 5, words)  # noqa: B023 - at once
            seen |= set(
                browser.run(
                    "return [...document.querySelectorAll('#rows .link')].map(b => b.title)"
                )
            )
            browser.run("document.getElementById('page-after').click()")
        assert len(seen) == 120
        assert browser.run("return location.hash") == "#floor?page=3"


def test_texts_can_be_read_on_a_phone(browser: Browser, served: Dashboard) -> None:
    """Drawings are made for the width that there is, and wide tables say that they scroll."""
    browser.resize(PHONE)
    try:
        browser.open(f"{served.url}/#mirror")
        wait_until(lambda: browser.text("#gaps-chart") != "", 10, "the gaps")
        scale = browser.run(
            "const svg = document.querySelector('#gaps-chart svg');"
            "return svg.getBoundingClientRect().width / svg.viewBox.baseVal.width"
        )
        assert scale > 0.95
        hints = (
            "return [...document.querySelectorAll('#mirror .sideways')].map((one) => one.hidden)"
        )
        assert False in browser.run(hints)
    finally:
        browser.resize(DESKTOP)


def test_many_tabs_do_not_starve_each_other(browser: Browser, served: Dashboard) -> None:
    """Browsers allow six connections to a host: pages that nobody sees give theirs up."""
    first = browser.driver.current_window_handle
    for _ in range(8):
        browser.driver.switch_to.new_window("tab")
        browser.driver.get(served.url + "/")
        until_shown(browser, **SHOWN)
        time.sleep(0.5)
    for handle in browser.driver.window_handles:
        if handle != first:
            browser.driver.switch_to.window(handle)
            browser.driver.close()
    browser.driver.switch_to.window(first)
    for _ in range(8):
        browser.open(served.url + "/")
        until_shown(browser, **SHOWN)


def test_an_empty_floor_says_so(browser: Browser, tmp_path: Path, env: dict[str, str]) -> None:
    """No events, no listeners: zeros and words, no errors."""
    made = dashboard(tmp_path, env)
    with made.process:
        made.until_listening().until_open()
        browser.open(made.url + "/")
        until_shown(browser, waiting=0, live=0)
        assert browser.run("return document.getElementById('queues-empty').hidden") is False
        wait_until(lambda: browser.text("#connection") == "not live", 10, "it says so")
        assert "Nothing has been mirrored yet: no listener is alive" in browser.text("#banner")
        browser.open(made.url + "/#mirror")
        wait_until(lambda: browser.text("#verdict-title") == "Down", 10, "the verdict")
        assert "no listener is alive" in browser.text("#reasons")
        assert browser.text("#gaps-empty") == "No gap is recorded."
        assert violations(browser) == []
        assert browser.complaints() == []


def test_five_thousand_conversations_open_within_a_second(
    browser: Browser, tmp_path: Path, env: dict[str, str]
) -> None:
    """From the address to the right figures, on a busy floor."""
    courses = ["waiting", "talking", "talking", "held", "talking"] * 1_000
    produce(load(env), [e for n, course in enumerate(courses) for e in conversation(n, course)])
    made = dashboard(tmp_path, env)
    with made.process:
        made.until_listening().until_open()
        took = []
        for _ in range(3):
            browser.open(made.url + "/")
            until_shown(browser, waiting=1000, talking=3000, held=1000, live=5000)
            took.append(browser.run(_SHOWN_AFTER))
        assert min(took) < 1000, took


# Milliseconds from the beginning of the navigation to now: the figures are there by then.
_SHOWN_AFTER = "return performance.now()"


# --- doors, without a browser -----------------------------------------------------------------


def test_a_token_opens_it_and_nothing_else_does(
    browser: Browser, tmp_path: Path, env: dict[str, str]
) -> None:
    """Signing in by the page gives a cookie that scripts cannot read; Bearer works for machines."""
    made = dashboard(tmp_path, env | {"MIRROR_DASHBOARD_TOKEN": TOKEN})
    with made.process:
        made.until_listening()
        assert made.status("/") == 303
        for path in ("/stream", "/api/conversations", "/static/index.html", "/nowhere"):
            assert made.status(path) == 401, path
        assert made.status("/api/conversations", {"Authorization": f"Bearer {TOKEN}"}) == 200
        assert made.status("/api/conversations", {"Authorization": f"Bearer {TOKEN}x"}) == 401
        form = f"token={TOKEN}".encode()
        status, headers, _ = made.fetch("/login", body=form)
        cookie = headers.get_all("Set-Cookie")[0]
        assert status == 303
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert TOKEN not in cookie
        assert made.fetch("/login", {"Origin": "https://evil.example"}, form)[0] == 403

        browser.open(made.url + "/")
        assert browser.driver.current_url.endswith("/login")
        assert violations(browser) == []
        assert browser.run("return document.activeElement.id") == "token"
        browser.press("wrong", Key.ENTER)
        wait_until(lambda: "not the token" in browser.text("#told"), 10, "it is refused")
        wait_until(lambda: browser.run("return document.activeElement.id") == "token", 5, "ready")
        browser.press(TOKEN, Key.ENTER)
        until_shown(browser, 15.0, live=0)
        assert "mirror_dashboard" not in browser.run("return document.cookie")
        browser.click("#logout button")
        wait_until(lambda: browser.driver.current_url.endswith("/login"), 5, "signed out")
    assert TOKEN not in made.process.stderr


def test_every_answer_is_guarded(tmp_path: Path, env: dict[str, str]) -> None:
    """Strict headers everywhere; another name of this machine, other methods and paths refused."""
    made = dashboard(tmp_path, env)
    with made.process:
        made.until_listening()
        for path in ("/", "/static/js/main.js", "/api/conversations", "/healthz", "/nowhere"):
            _, headers, _ = made.fetch(path)
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert "server" not in headers
        assert made.status("/", {"Host": "evil.example"}) == 421
        assert made.status("/", {"Host": "["}) == 421
        for page in ("%C2%B2", "x", "-1", ""):
            assert made.status(f"/api/conversations?page={page}") == 400
        assert made.fetch("/api/conversations", body=b"x")[0] == 405
        assert made.status("/static/../service.py") == 404
        assert made.status("/static/%2e%2e/service.py") == 404
        assert made.status("/stream?view=all") == 400


def test_it_does_not_start_where_everybody_could_look(tmp_path: Path, env: dict[str, str]) -> None:
    """Exit code 2 and one line that names the setting."""
    (port,) = free_ports(1)
    for more in ({"PORT": str(port)}, {"MIRROR_DASHBOARD_HOST": "0.0.0.0"}):
        with ManagedProcess.mirror("dashboard", folder=tmp_path, env=env | more) as process:
            assert process.wait(20) == 2
        assert process.stderr.splitlines()[-1].startswith("mirror: MIRROR_DASHBOARD_TOKEN")
    with ManagedProcess.mirror(
        "dashboard",
        folder=tmp_path,
        name="with-token",
        env=env | {"PORT": str(port), "MIRROR_DASHBOARD_TOKEN": TOKEN},
    ) as process:
        wait_until(lambda: f'"port": {port}' in process.stderr, 20, "it listens")
        assert process.stop() == 0


def test_what_is_away_at_the_start_ends_it(tmp_path: Path, env: dict[str, str]) -> None:
    """Exit code 3 after MIRROR_STARTUP_TIMEOUT, naming what does not answer; the page says so
    until then."""
    (port,) = free_ports(1)
    for variable, value in (
        ("REDIS_URL", f"redis://127.0.0.1:{port}/0"),
        ("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{port}"),
    ):
        broken = env | {variable: value, "MIRROR_STARTUP_TIMEOUT": "2s"}
        made = dashboard(tmp_path, broken, f"without-{variable}")
        with made.process:
            made.until_listening()
            assert made.process.wait(30) == 3
        last = made.process.stderr.splitlines()[-1]
        assert str(port) in last
        assert not last.startswith("{")
        assert "Traceback" not in made.process.stderr


def test_it_tells_prometheus_how_it_is(tmp_path: Path, env: dict[str, str]) -> None:
    """`/metrics` and `/healthz` on MIRROR_METRICS_PORT, JSON logs, SIGTERM ends it with 0."""
    (port,) = free_ports(1)
    produce(load(env), conversation(1, "talking"))
    made = dashboard(tmp_path, env | {"MIRROR_METRICS_PORT": str(port)})
    with made.process:
        made.until_listening().until_open()
        told = Dashboard(made.process, f"http://127.0.0.1:{port}", env)
        page = told.fetch("/metrics")[2].decode()
        assert "mirror_dashboard_conversations 1.0" in page
        assert "mirror_dashboard_streams 0.0" in page
        assert "mirror_dashboard_opened_from_conversations 0.0" in page
        health = json.loads(told.fetch("/healthz")[2])
        assert health["health"] == "ok"
        assert made.process.stop() == 0
    assert all(line.startswith("{") for line in made.process.stderr.splitlines())


def test_it_is_not_well_while_its_start_waits(tmp_path: Path, env: dict[str, str]) -> None:
    """Kafka and Redis answer, but a topic is missing: the page is served, and shows nothing."""
    (port,) = free_ports(1)
    env = {
        **env,
        "MIRROR_TOPIC": "nowhere",
        "MIRROR_STARTUP_TIMEOUT": "0",
        "MIRROR_METRICS_PORT": str(port),
    }
    made = dashboard(tmp_path, env)
    with made.process:
        made.until_listening()
        told = Dashboard(made.process, f"http://127.0.0.1:{port}", env)

        def reasons() -> str:
            found = json.loads(told.fetch("/healthz")[2])
            assert found["health"] == "degraded"
            return str(found["reasons"])

        wait_until(lambda: "Kafka has no topic nowhere" in reasons(), 20, "it says for what")


def test_the_watchdog_learns_how_it_is(tmp_path: Path, env: dict[str, str]) -> None:
    """It beats while its pages are served; a port that is taken ends it with a last word."""
    env = {**env, "MIRROR_RUN_DIR": str(tmp_path), "SUPERVISOR_PROCESS_NAME": "dashboard-0"}
    with dashboard(tmp_path, env).process as process:
        wait_until(lambda: read_heartbeat(tmp_path, "dashboard-0"), 20.0, "a beat")
        first = read_heartbeat(tmp_path, "dashboard-0")
        assert first is not None
        assert (first.pid, first.exit_code) == (process.pid, None)
        wait_until(lambda: read_heartbeat(tmp_path, "dashboard-0") != first, 10.0, "another beat")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        env["MIRROR_DASHBOARD_PORT"] = str(taken.getsockname()[1])
        with ManagedProcess.python_module(
            "dashboard", folder=tmp_path, env=env, name="late"
        ) as late:
            assert late.wait(20.0) == 2
    last = read_heartbeat(tmp_path, "dashboard-0")
    assert last is not None
    assert last.exit_code == 2
