"""The benchmark: its command runs and goes on where it was, and its sums show what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import registration
from benchmarks.case import Truth
from benchmarks.figures import stated_and_true
from benchmarks.groups import groups
from benchmarks.store import Store
from benchmarks.sums import covered, right_refused, seen, spearman, wrong_with
from benchmarks.tables import table
from benchmarks.targets import targets
from registration.engine.expected import ErrorMap
from registration.engine.geometry import Frame, Size
from registration.engine.transforms import AffineTransform

FRAME = Frame("fixed", Size(256, 256), None)


def _run(median: float, verdict: str = "good", **more: Any) -> dict[str, Any]:
    """Figures as a measurement leaves them, of an image with a diagonal of 1000 px."""
    of_errors = {"median": median, "p90": 2 * median, "max": 3 * median, "diagonal": 1000.0, "overlap": 0.8}
    cost = {"seconds": 2.0, "without_reading": 1.0, "peak_mb": 100.0, "robust": 1.0, "folding": 0.0}
    return of_errors | cost | {"verdict": verdict, "reasons": [], "found": True} | more


def test_one_case_of_each_group_runs_and_is_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "figures.jsonl"
    wanted = ["--cases", "1", "--figures", str(figures)]
    registration.main([*wanted, "--methods", "identity"])
    registration.main([*wanted, "--methods", "accurate", "--group", "lost"])
    runs = [json.loads(line) for line in figures.read_text().splitlines()]
    assert [run for run in runs if "crashed" in run] == []
    assert {run["group"] for run in runs} >= {"phantoms", "sweep", "lost"}
    assert all(run["median"] > 0 and run["peak_mb"] > 10 for run in runs)
    before = figures.read_text()
    registration.main([*wanted, "--methods", "identity"])
    assert figures.read_text() == before
    assert "| identity | 1 |" in capsys.readouterr().out


def test_a_group_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"no group lots; there are .*phantoms.*sweep") as caught:
        registration.main(["--group", "lots", "--group", "sweep"])
    assert caught.value.code != 0


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    group = next(group for group in groups() if group.name == "phantoms")
    store = Store(path)
    store.put(group, "upright", "identity", _run(5.0))
    store.put(group, "turned", "identity", _run(6.0))
    path.write_text(path.read_text()[:-20])
    again = Store(path)
    assert again.get(group, "upright", "identity") == _run(5.0)
    assert again.get(group, "turned", "identity") is None


def test_figures_of_other_code_count_only_where_that_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    group = next(group for group in groups() if group.name == "phantoms")
    Store(path).put(group, "upright", "accurate", _run(5.0))
    old = json.loads(path.read_text()) | {"code": "0123456789"}
    path.write_text(json.dumps(old) + "\n")
    assert Store(path).get(group, "upright", "accurate") is None
    assert Store(path, keep=True).get(group, "upright", "accurate") == _run(5.0)


def test_the_sweep_s_sums_tell_the_kinds_of_failure_apart() -> None:
    runs = {
        "right": _run(1.0),
        "wrong, good": _run(30.0),
        "wrong, check": _run(30.0, "check"),
        "refused": _run(1.0, "refused"),
        "refused, little in common": _run(1.0, "refused", overlap=0.3),
    }
    assert (wrong_with(runs, "good"), wrong_with(runs, "check"), right_refused(runs)) == (1, 1, 1)
    rows = {row[0]: row[-1] for row in targets({"sweep": {"accurate": runs}})}
    assert rows["sweep: wrong with verdict good"] == "MISSED"
    assert rows["sweep: crashed"] == "met"
    assert rows["wrong pairs refused"] == "not measured"
    assert table("sweep", {"accurate": runs})[1][3:7] == ["1", "1", "0", "1"]


def test_a_crash_is_counted_and_has_no_error() -> None:
    runs = {"right": _run(1.0), "crash": {"crashed": "cv2.error"}}
    assert table("sweep", {"accurate": runs})[1][1] == "2, 1 crashed"
    rows = {row[0]: row[-1] for row in targets({"sweep": {"accurate": runs}})}
    assert rows["sweep: crashed"] == "MISSED"


def test_a_confident_lost_fit_is_not_seen() -> None:
    squares = [[0.5, 60.0, 16, 0]]
    assert not seen(_run(50.0, squares=squares))
    assert seen(_run(50.0, squares=[[60.0, 60.0, 16, 14]]))
    assert seen(_run(50.0, "refused"))
    assert seen(_run(1.0))


def test_stated_errors_are_counted_square_by_square() -> None:
    """Errors of 1 px on the left, stated as 2; of 4 px on the right, stated as 3."""
    x, y = (
        values.ravel().astype(np.float64)
        for values in np.meshgrid(np.arange(8, 128, 16), np.arange(8, 64, 16))
    )
    fixed = np.stack((x, y), axis=-1)
    off = np.where(x < 64, 1.0, 4.0)
    moving = fixed + np.stack((off, np.zeros_like(off)), axis=-1)
    expected = ErrorMap(np.array([[2.0, 3.0]], np.float32), (0.0, 0.0), 64.0)
    identity = AffineTransform(np.eye(3), FRAME, Frame("moving", FRAME.size, None))
    squares = stated_and_true(expected, identity, Truth(fixed, moving, 100.0))
    assert squares == [[2.0, 1.0, 16, 16], [3.0, 4.0, 16, 0]]
    assert covered(squares) == 0.5
    assert stated_and_true(expected, identity, Truth(fixed, moving, 100.0, noise=2.0)) == [[3.0, 4.0, 16, 0]]


def test_rank_correlation_does_not_care_for_units_and_shares_ties() -> None:
    squares = [[1.0, 10.0, 9, 9], [2.0, 200.0, 9, 9], [3.0, 3000.0, 9, 9]]
    assert spearman(squares) == pytest.approx(1.0)
    assert spearman([[1.0, 3.0, 9, 9], [2.0, 2.0, 9, 9], [3.0, 1.0, 9, 9]]) == pytest.approx(-1.0)
    assert np.isnan(spearman([[1.0, 3.0, 9, 9]] * 4))
