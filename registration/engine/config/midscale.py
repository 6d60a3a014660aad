"""Settings of the mid-scale field (stage D)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MidscaleConfig:
    """node_spacing : of the field, px of the overview."""

    node_spacing: int = 16
