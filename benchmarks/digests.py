"""A short name for the state of some source files."""

from __future__ import annotations

import hashlib
from functools import cache

from benchmarks.case import ROOT


@cache
def digest(*patterns: str) -> str:
    """Ten hex digits that change with the files that match, relative to the repository."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:10]
