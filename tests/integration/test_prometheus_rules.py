"""Alert rules: promtool takes them, each fires for what it is for and is silent otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.services.prometheus import promtool
from tests.unit.deploy.expressions import ALERTS, alerts

STEPS = 120  # minutes of every series
AT = "100m"

Series = dict[str, str]


def _steady(value: float) -> str:
    return f"{value:g}x{STEPS}"


def _growing(by: float) -> str:
    return f"0+{by:g}x{STEPS}"


def _quantiles(metric: str, end: str) -> Series:
    """A histogram whose values all lie in the bucket that ends at `end`."""
    labels = {"le": end} | ({"since": "read"} if metric == LATENCY else {})
    shown = ",".join(f'{name}="{value}"' for name, value in labels.items())
    inf = shown.replace(f'le="{end}"', 'le="+Inf"')
    low = shown.replace(f'le="{end}"', 'le="0.01"')
    return {
        f"{metric}{{{low}}}": _steady(0),
        f"{metric}{{{shown}}}": _growing(60),
        f"{metric}{{{inf}}}": _growing(60),
    }


LATENCY = "mirror_event_latency_seconds_bucket"
REQUESTS = "mirror_genesys_request_seconds_count"
LIVE = {'mirror_channels{state="live",instance="a"}': _steady(1)}
# Alert → series with which it fires, series with which it does not.
CASES: dict[str, tuple[Series, Series]] = {
    "MirrorProcessUnreachable": (
        {'up{job="mirror",instance="a"}': _steady(0)},
        {'up{job="mirror",instance="a"}': _steady(1), 'up{job="other"}': _steady(0)},
    ),
    "MirrorProcessDown": (
        {'mirror_health{state="down",instance="a"}': _steady(1)},
        {'mirror_health{state="down",instance="a"}': _steady(0)},
    ),
    "MirrorProcessDegraded": (
        {'mirror_health{state="degraded",instance="a"}': _steady(1)},
        {'mirror_health{state="degraded",instance="a"}': f"0 1 0 1 0x{STEPS}"},
    ),
    "MirrorNoListener": ({}, LIVE),
    "MirrorNoLeader": (
        {'mirror_leader{instance="a"}': _steady(0)},
        {'mirror_leader{instance="a"}': _steady(0), 'mirror_leader{instance="b"}': _steady(1)},
    ),
    "MirrorTwoLeaders": (
        {'mirror_leader{instance="a"}': _steady(1), 'mirror_leader{instance="b"}': _steady(1)},
        {'mirror_leader{instance="a"}': _steady(0), 'mirror_leader{instance="b"}': _steady(1)},
    ),
    "MirrorSeatsUnassigned": (
        {"mirror_seats_unassigned": _steady(2)},
        {"mirror_seats_unassigned": _steady(0)},
    ),
    "MirrorTopicsRejected": (
        {"mirror_topics_rejected": _steady(1)},
        {"mirror_topics_rejected": _steady(0)},
    ),
    "MirrorTopicsGone": (
        {"mirror_topics_gone": _steady(2)},
        {"mirror_topics_gone": _steady(0)},
    ),
    "MirrorSocketsSilent": (
        {
            **LIVE,
            'mirror_heartbeats_total{instance="a"}': _steady(7),
            'mirror_frames_total{instance="a"}': _steady(7),
        },
        {
            **LIVE,
            'mirror_heartbeats_total{instance="a"}': _growing(2),
            'mirror_frames_total{instance="a"}': _steady(7),
        },
    ),
    "MirrorReconnecting": (
        {'mirror_reconnects_total{instance="a"}': _growing(3)},
        {'mirror_reconnects_total{instance="a"}': _growing(1)},
    ),
    "MirrorSpooling": (
        {'mirror_spool_records{instance="a"}': _steady(1)},
        {'mirror_spool_records{instance="a"}': _steady(0)},
    ),
    "MirrorSpoolFilling": (
        {"mirror_spool_bytes": _steady(81), "mirror_spool_limit_bytes": _steady(100)},
        {"mirror_spool_bytes": _steady(79), "mirror_spool_limit_bytes": _steady(100)},
    ),
    "MirrorRecordsLost": (
        {"mirror_records_lost_total": _growing(1)},
        {"mirror_records_lost_total": _steady(5)},
    ),
    "MirrorRecordsRefused": (
        {"mirror_records_refused_total": _growing(1)},
        {"mirror_records_refused_total": _steady(5)},
    ),
    "MirrorDeadLetters": (
        {"mirror_dead_letters_total": _growing(2), "mirror_frames_total": _growing(100)},
        {"mirror_dead_letters_total": _growing(1), "mirror_frames_total": _growing(1000)},
    ),
    "MirrorUnknownTopics": (
        {"mirror_unknown_frames_total": _growing(1)},
        {"mirror_unknown_frames_total": _steady(1)},
    ),
    "MirrorUnknownMedia": (
        {"mirror_unknown_media_frames_total": _growing(1)},
        {"mirror_unknown_media_frames_total": _steady(1)},
    ),
    "MirrorLoopStalls": (
        {"mirror_loop_stalls_total": _growing(1)},
        {"mirror_loop_stalls_total": _growing(0.1)},
    ),
    "MirrorLoopBusy": (
        {"mirror_loop_busy_seconds_total": _growing(54)},
        {"mirror_loop_busy_seconds_total": _growing(30)},
    ),
    "MirrorUncovered": (
        {'mirror_gaps_filed_total{kind="gap"}': _growing(1)},
        {
            'mirror_gaps_filed_total{kind="gap"}': _steady(3),
            'mirror_gaps_filed_total{kind="snapshot"}': _growing(1),
        },
    ),
    "MirrorGapsStayOpen": (
        {"mirror_gaps_open": _steady(1)},
        {"mirror_gaps_open": f"1x{STEPS // 2} 0x{STEPS}"},
    ),
    "MirrorOverdue": (
        {'mirror_conversations{state="overdue"}': _steady(101)},
        {
            'mirror_conversations{state="overdue"}': _steady(99),
            'mirror_conversations{state="active"}': _steady(9999),
        },
    ),
    "MirrorProjectorBehind": (
        {'mirror_projector_lag_seconds{instance="a"}': _steady(90)},
        {'mirror_projector_lag_seconds{instance="a"}': _steady(3)},
    ),
    "MirrorProjectorAborts": (
        {'mirror_projector_transactions_aborted_total{instance="a"}': _growing(1)},
        {'mirror_projector_transactions_aborted_total{instance="a"}': _growing(0.1)},
    ),
    "MirrorProjectorMissed": (
        {'mirror_projector_records_missed_total{instance="a"}': _growing(1)},
        {'mirror_projector_records_missed_total{instance="a"}': _steady(7)},
    ),
    "MirrorSlow": (_quantiles(LATENCY, "10.0"), _quantiles(LATENCY, "0.1")),
    "MirrorUnsaved": (
        {'mirror_unsaved_seconds{instance="a"}': _steady(31)},
        {'mirror_unsaved_seconds{instance="a"}': _steady(5)},
    ),
    "MirrorShardSilent": (
        {'mirror_shard_last_frame_age_seconds{shard="1",instance="a"}': _steady(91)},
        {
            'mirror_shard_last_frame_age_seconds{shard="1",instance="a"}': _steady(91),
            'mirror_shard_last_frame_age_seconds{shard="1",instance="b"}': _steady(20),
        },
    ),
    "MirrorTrackerLags": (
        {'mirror_tracker_lag_seconds{instance="a"}': _steady(301)},
        {'mirror_tracker_lag_seconds{instance="a"}': f"301 1 301 1x{STEPS}"},
    ),
    "MirrorPassesSlow": (
        _quantiles("mirror_pass_seconds_bucket", "5.0"),
        _quantiles("mirror_pass_seconds_bucket", "0.5"),
    ),
    "MirrorRateLimited": (
        {f'{REQUESTS}{{outcome="limited"}}': _growing(1)},
        {
            f'{REQUESTS}{{outcome="limited"}}': _steady(9),
            f'{REQUESTS}{{outcome="done"}}': "0+9x120",
        },
    ),
    "MirrorGenesysFails": (
        {
            f'{REQUESTS}{{outcome="failed"}}': _growing(2),
            f'{REQUESTS}{{outcome="no_answer"}}': _growing(2),
            f'{REQUESTS}{{outcome="done"}}': _growing(10),
        },
        {
            f'{REQUESTS}{{outcome="failed"}}': _growing(1),
            f'{REQUESTS}{{outcome="done"}}': _growing(10),
        },
    ),
    "MirrorTokenEnds": (
        {'mirror_genesys_token_expires_seconds{instance="a"}': _steady(300)},
        {'mirror_genesys_token_expires_seconds{instance="a"}': _steady(86400)},
    ),
    "MirrorOverdueLong": (
        {"mirror_conversations_oldest_due_seconds": _steady(3700)},
        {"mirror_conversations_oldest_due_seconds": _steady(60)},
    ),
    "MirrorVerificationFails": (
        {'mirror_janitor_conversations_verified_total{outcome="failed"}': _growing(1)},
        {'mirror_janitor_conversations_verified_total{outcome="active"}': _growing(9)},
    ),
}


def test_every_alert_has_its_case() -> None:
    """None is shipped that was not seen to fire."""
    assert set(CASES) == set(alerts())


def test_promtool_takes_the_rules() -> None:
    """No error, no doubtful name."""
    checked = promtool("check", "rules", ALERTS)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", sorted(p.name for p in ALERTS.parent.glob("prometheus*.yaml")))
def test_promtool_takes_the_settings(tmp_path: Path, name: str) -> None:
    """Each example. Debian's Prometheus is built without Kubernetes, so that part is put aside."""
    document = yaml.safe_load(ALERTS.with_name(name).read_text(encoding="utf-8"))
    for job in document["scrape_configs"]:
        job.pop("kubernetes_sd_configs", None)
    (tmp_path / name).write_text(yaml.safe_dump(document), encoding="utf-8")
    shutil.copy(ALERTS, tmp_path)
    settings = promtool("check", "config", tmp_path / name)
    assert settings.returncode == 0, settings.stdout + settings.stderr


def test_alerts_fire_for_what_they_are_for(tmp_path: Path) -> None:
    """Each fires on its fault, and is silent on its healthy or near miss."""
    tests = [
        {
            "interval": "1m",
            "name": f"{name} {'fires' if fires else 'is silent'}",
            "input_series": [{"series": s, "values": v} for s, v in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                    "eval_time": AT,
                    "exp_samples": [{"labels": "{}", "value": int(fires)}],
                }
            ],
        }
        for name, case in CASES.items()
        for fires, series in zip((True, False), case, strict=True)
    ]
    document = {"rule_files": [str(ALERTS)], "evaluation_interval": "5m", "tests": tests}
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    result = promtool("test", "rules", path)
    assert result.returncode == 0, result.stdout + result.stderr
