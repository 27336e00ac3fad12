"""What gunicorn imports: an app of the suite by its name."""

from __future__ import annotations

import importlib
from typing import Any

from rig import Rig


def build(module: str, way: str, record: str) -> Any:
    return getattr(importlib.import_module(module), way)(Rig(record))


def build_guarded(app: str, record: str) -> Any:
    guarded = importlib.import_module("guarded")
    return guarded.APPS[app](guarded.Reached(record))
