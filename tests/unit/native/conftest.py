"""Without the native reader its tests are left out; `test_setting.py` says so in one line."""

from __future__ import annotations

from tests.unit.native.twins import MODULE

NEED_IT = ("same_records", "rules_natively", "lending", "limits", "in_the_loop", "stream", "edges")

collect_ignore = [] if MODULE is not None else [f"test_{name}.py" for name in NEED_IT]
