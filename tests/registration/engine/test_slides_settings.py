"""The settings of the slide-level alignment."""

from __future__ import annotations

import math

import pytest

from registration.engine.config.slides import SlideConfig
from registration.engine.errors import EngineError


@pytest.mark.parametrize(
    "wrong",
    [
        {"overview_px": 10},
        {"step_degrees": 0},
        {"smallest_overlap": 1.5},
        {"candidates_per_cue": 0},
        {"scale_steps": 1},
        {"scale_range": (0.5, math.inf)},
        {"scale_range": (1.5, 2.0)},
        {"stretch_range": (0.0, 2.0)},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(EngineError) as raised:
        SlideConfig(**wrong)  # type: ignore[arg-type]
    assert raised.value.code == "bad_config"


def test_unknown_scales_span_the_range_evenly() -> None:
    scales = SlideConfig().unknown_scales
    assert scales[0] == pytest.approx(0.5)
    assert scales[-1] == pytest.approx(2.0)
    assert 1.0 in [pytest.approx(scale) for scale in scales]
