"""Tests of listeners do not forgive a channel a step that its table does not have."""

from __future__ import annotations

from listeners.channels import table

table.STRICT = True
