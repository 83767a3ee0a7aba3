"""Pages of the documentation that are made from code: `python -m docs.build.pages` writes them.

A test holds each page to what this makes, so that none can fall behind.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from docs.build.channel_page import channel_page
from docs.build.log_events import PACKAGES, log_events, purpose
from docs.build.vectors import vectors
from mirror.conversation.schema import event_schema, view_schema
from mirror.runtime.metrics import ALL, Described
from mirror.settings import load
from simulator.cli import main as simulator

DOCS: Final = Path(__file__).parents[1]
HELP_WIDTH: Final = 90
# Their defaults differ between machines.
OF_THE_MACHINE: Final = (
    "MIRROR_HOST",
    "MIRROR_SPOOL_DIR",
    "MIRROR_RUN_DIR",
    "MIRROR_LOG_DIR",
    "MIRROR_PYTHON",
    "MIRROR_DASHBOARDS",
)


def metrics_page() -> str:
    """docs/metrics.md: every metric with its labels and meaning."""
    lines = [
        "# Metrics",
        "",
        "Made from `mirror/runtime/metrics.py` by `python -m docs.build.pages`.",
        "",
        "Each process serves `/metrics` and `/healthz` on `MIRROR_METRICS_PORT`. Under `mirror up`",
        "each process adds its own offset to the port ([settings](settings.md)). Counters begin at",
        "zero with the process. Only the leader reports figures of the whole fleet; the other",
        "coordinators report 0, so use `max` over them. The usual `process_…` metrics (CPU,",
        "memory, open files, start time) are there too.",
    ]
    for heading, metrics in ALL.items():
        lines += [
            "",
            f"## {heading}",
            "",
            "| metric | kind | labels | meaning |",
            "|---|---|---|---|",
        ]
        lines += [_row(metric) for metric in metrics]
    return "\n".join(lines) + "\n"


def _row(metric: Described) -> str:
    labels = "; ".join(
        f"`{name}`: {', '.join(value for value in values)}" for name, values in metric.labels
    )
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


def monitoring_page() -> str:
    """docs/monitoring.md: how to watch a mirror, and every panel of the Grafana dashboard."""
    lines = [
        "# Monitoring",
        "",
        "Made from `deploy/grafana/dashboard.json` by `python -m docs.build.pages`.",
        "",
        "1. Set `MIRROR_METRICS_PORT`. Under `mirror up` every process has its own port, counted",
        "   from this one ([settings](settings.md)). [Metrics](metrics.md) has all names.",
        "2. Let Prometheus scrape the processes and load the rules of",
        "   `deploy/prometheus/alerts.yaml`. `deploy/prometheus/prometheus.yaml` is an example.",
        "   Each alert has an entry in the [runbook](runbook.md).",
        "3. In Grafana import `deploy/grafana/dashboard.json` (Dashboards, New, Import) and choose",
        "   this Prometheus. Or copy `deploy/grafana/provisioning` to Grafana's provisioning",
        "   folder. `deploy/compose.yaml` runs all of it, with Grafana on http://127.0.0.1:3000.",
        "",
        "The expressions of rules and panels are tested against scrapes of running processes. How",
        "the panels look is not tested: the dashboard was written for Grafana 12 and was not",
        "opened in a Grafana yet, so there is no picture here.",
    ]
    panels = json.loads((DOCS.parent / "deploy/grafana/dashboard.json").read_bytes())["panels"]
    for panel in panels:
        if panel["type"] == "row":
            lines += ["", f"## {panel['title']}", "", "| panel | what it shows |", "|---|---|"]
        else:
            lines.append(f"| {panel['title']} | {panel['description']} |")
    return "\n".join(lines) + "\n"


def logs_page() -> str:
    """docs/logs.md: every event of the logs with its fields."""
    lines = [
        "# Log events",
        "",
        "Made from the source by `python -m docs.build.pages`.",
        "",
        "Every process writes JSON lines to stderr (under `mirror up` to one file each), at",
        "`MIRROR_LOG_LEVEL` and above. Each line has `process`, `part`, `event`, `level` and",
        "`time` (RFC 3339, UTC), and the fields below; `…` stands for fields that vary. Channel",
        "ids are shortened and secrets are masked. No field holds personal data, except with",
        "`MIRROR_PII=keep`: `topics_gone` then names agents. Only debug lines have a traceback.",
        "",
        "Logging never blocks or ends a process. If stderr does not accept lines (the pipe's",
        "reader is slow or gone, the disk is full), they wait in memory: at most 10,000 lines and",
        "4 MiB. Further lines are dropped. `mirror_log_lines_dropped_total` counts them, and when",
        "stderr accepts lines again, `log_lines_dropped` says how many are missing (`count`). A",
        "process that ends waits up to two seconds for its last lines.",
    ]
    for package, heading in PACKAGES.items():
        events = log_events(package)
        if events:
            lines += ["", f"## {heading}"]
        for module in dict.fromkeys(event.module for event in events):
            lines += ["", f"`{module}`: {purpose(module)}", ""]
            lines += ["| event | level | fields |", "|---|---|---|"]
            lines += [
                f"| `{event.name}` | {event.level} | {', '.join(map(_code, event.fields))} |"
                for event in events
                if event.module == module
            ]
    return "\n".join(lines) + "\n"


def _code(word: str) -> str:
    return f"`{word}`"


def commands_page() -> str:
    """docs/commands.md: every command with its help."""
    from console import cli

    lines = [
        "# Commands",
        "",
        "Made from the commands' own help by `python -m docs.build.pages`.",
        "",
        "Data goes to stdout, messages to stderr. Exit codes: 0 done, 1 the work failed, 2 wrong",
        "usage or settings, 3 a dependency is unreachable or refuses, 130 and 143 on signals.",
    ]
    for name, text in _helps(cli, "mirror"):
        lines += ["", f"## {name}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


def _helps(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    context = click.Context(
        command,
        info_name=name,
        terminal_width=HELP_WIDTH,
        help_option_names=["-h", "--help"],
        show_default=command.context_settings.get("show_default"),
    )
    yield name, command.get_help(context).rstrip()
    if isinstance(command, click.Group):
        for child, own in sorted(command.commands.items()):
            # `mirror simulator` hands its arguments on, and has no options of its own.
            shown = simulator if child == "simulator" else own
            yield from _helps(shown, f"{name} {child}")


def schema_page() -> str:
    """docs/schema.md: the JSON Schemas of event and view."""
    event, view = (
        msgspec.json.format(msgspec.json.encode(schema), indent=2).decode()
        for schema in (event_schema(), view_schema())
    )
    return (
        "# JSON Schemas\n\n## The event\n\nWhat `mirror schema` prints; "
        "[the event](event.md) says what it means.\n\n"
        f"```json\n{event}\n```\n\n"
        "## The view\n\nWhat `mirror schema --view` prints; "
        "[the projector](projector.md#a-view) says what it means.\n\n"
        f"```json\n{view}\n```\n"
    )


# A link in brackets: a plain file has no links, so the page is named instead of the text.
_LINK_IN_BRACKETS: Final = re.compile(r"\(\[[^]]+\]\(([^)#]+)[^)]*\)")


def env_example() -> str:
    """deploy/mirror.env.example: the table of docs/settings.md with the defaults of `load`."""
    defaults = load({"HOME": "/root"}).environment
    lines = [
        "# Settings of interaction mirror: all of docs/settings.md, commented out, each with its",
        "# default where there is one. Copy to mirror.env, mode 0600, and fill in what you need.",
    ]
    for row in (DOCS / "settings.md").read_text(encoding="utf-8").splitlines():
        if not row.startswith("| `"):
            continue
        cells = [cell.strip() for cell in row.strip("| ").split(" | ", 2)]
        if len(cells) < 3:
            continue  # another table of the page
        names, _, meaning = cells
        plain = _LINK_IN_BRACKETS.sub(r"(docs/\1", meaning.replace("`", ""))
        plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", plain)
        wrapped = textwrap.wrap(
            plain, 96, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
        )
        lines += ["", *wrapped]
        for name in re.findall(r"`([A-Z_]+)`", names):
            value = "" if name in OF_THE_MACHINE else defaults.get(name, "")
            lines.append(f"#{name}={value}")
    return "\n".join(lines) + "\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "channel.md": channel_page,
    "commands.md": commands_page,
    "logs.md": logs_page,
    "metrics.md": metrics_page,
    "monitoring.md": monitoring_page,
    "../deploy/mirror.env.example": env_example,
    "schema.md": schema_page,
}


# A program in a page: where it stands in the repository, then the block that shows it.
PROGRAM: Final = re.compile(
    r"^<!-- docs/examples/(?P<name>[\w.]+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def pages_with_programs() -> list[Path]:
    """The guides and docs/consumers.md: pages that people write, with programs that tests run."""
    return [*sorted((DOCS / "guides").glob("*.md")), DOCS / "consumers.md"]


def with_programs(page: str) -> str:
    """A page's text with each program as docs/examples has it."""

    def block(found: re.Match[str]) -> str:
        text = (DOCS / "examples" / found["name"]).read_text(encoding="utf-8")
        return f"<!-- docs/examples/{found['name']} -->\n```{found['language']}\n{text}```"

    return PROGRAM.sub(block, page)


def main() -> None:
    """Write all pages."""
    for path in pages_with_programs():
        path.write_text(with_programs(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
    (DOCS / "vectors").mkdir(exist_ok=True)
    for name, text in vectors().items():
        (DOCS / "vectors" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
