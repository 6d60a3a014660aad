"""Calibrates the expected error of the level-0 stage and writes its coefficients: see docs/calibration.md.

    python -m benchmarks.calibrate [--trials N] [--seed S] [--write]

Without --write the figures are printed only. The trials come from seeds, so a run can be repeated.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.calibration_cases import Trial, consecutive_trials, landmark_trials, trials
from benchmarks.quantilefit import quantile_fit, spearman, weighted_quantile
from registration.engine.blockfeatures import block_features, lost_blocks
from registration.engine.cellevidence import CellEvidence
from registration.engine.config import preset
from registration.engine.errorfeatures import CELLS, cell_features, cell_unit, lost_share
from registration.engine.errormodel import LOST_BLOCK_SHARE, LOST_SHARE
from registration.engine.geometry import Points
from registration.engine.levelzero import fit_region
from registration.engine.localstart import LocalStart
from registration.engine.measuring import RegionTask, read_around, refitted
from registration.engine.quality import LEVEL_ZERO_SHARE
from registration.engine.regional import RegionalFit, supported
from registration.engine.regionfit import affine_and_field
from registration.engine.regionmid import refine
from registration.engine.result import no_progress
from registration.engine.stages import Stages
from registration.engine.tissue import tissue_mask

Values = NDArray[np.float64]

TABLE = Path(__file__).resolve().parent.parent / "registration/engine/calibration_table.py"
#: Smaller true errors are left out, fixed level-0 px: no truth is better.
SMALLEST_ERROR = 0.2
#: Level-0 px between the places where a known transform is compared.
_EVERY = 32
_FOLDS = 10
#: A little more than 0.9: places of trials left out are covered a little less than those calibrated on.
ASKED = 0.92
_QUANTILES = (np.arange(20) + 0.5) / 20


@dataclass(frozen=True)
class Rows:
    """One row for each place of a trial's tissue. features : (N, K). error : (N,) units. lost : (N,) bool.

    agreeing : share of the cells or blocks. unit : fixed level-0 px.
    """

    name: str
    features: Values
    error: Values
    lost: NDArray[np.bool_]
    agreeing: float
    unit: float


def rows_of(trial: Trial) -> Rows:
    """The trial's fit from its start, without a search at larger scale: evidence and true error."""
    config = preset("accurate")
    task = RegionTask(trial.fixed, trial.moving, trial.box, trial.start, 8, config)
    region = read_around(task, LocalStart(trial.start))
    field = fit_region(region, config.level_zero)
    points, targets = _truth(trial)
    errors = np.linalg.norm(affine_and_field(region, field)(points) - targets, axis=1) / trial.start.scale
    tissue = _looked_up(region.fixed_tissue, (points - (region.box.x, region.box.y)) / 8) > 0.5
    kept = tissue & (errors >= max(SMALLEST_ERROR, trial.noise_px))
    return _rows(
        trial.name, field.cells, (points - (region.box.x, region.box.y))[kept], errors[kept], field.agreeing
    )


def block_rows_of(trial: Trial) -> list[Rows]:
    """The same where cells do not match: of the affine alone, and with the field of the structures."""
    task = RegionTask(trial.fixed, trial.moving, trial.box, trial.start, 32, preset("accurate"))
    fits = refitted(task, Stages(no_progress))
    plain, bent = supported(fits), refine(task, fits)
    options = [plain] if bent.start is plain.start else [plain, bent]
    return [_block_rows(f"{trial.name} {n}", trial, mid) for n, mid in enumerate(options)]


def _block_rows(name: str, trial: Trial, mid: RegionalFit) -> Rows:
    points, targets = _truth(trial)
    errors = np.linalg.norm(mid.start.transform(points) - targets, axis=1) / trial.start.scale
    small = tissue_mask(*trial.fixed.read(0, 0, trial.fixed.width // 8, trial.fixed.height // 8, 8))
    kept = _looked_up(small, points / 8) & (errors >= SMALLEST_ERROR)
    places = (points[kept] - (mid.context.x, mid.context.y)) / mid.downsample
    features, lost = block_features(mid.blocks, places), lost_blocks(mid.blocks, places) > LOST_BLOCK_SHARE
    return Rows(name, features, errors[kept] / mid.downsample, lost, mid.judged.share, mid.downsample)


def _rows(name: str, cells: CellEvidence, places: Points, errors: Values, agreeing: float) -> Rows:
    unit = cell_unit(cells)
    square = places / (unit * 16 * CELLS)
    features, lost = cell_features(cells), lost_share(cells) > LOST_SHARE
    return Rows(name, _looked_up(features, square), errors / unit, _looked_up(lost, square), agreeing, unit)


def _truth(trial: Trial) -> tuple[Points, Points]:
    if trial.truth is None:
        assert trial.points is not None
        return trial.points
    xs, ys = (
        np.arange(start + _EVERY / 2, stop, _EVERY)
        for start, stop in ((trial.box.x, trial.box.right), (trial.box.y, trial.box.bottom))
    )
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return points, trial.truth(points)


def _looked_up(plane: NDArray[Any], index: Points) -> NDArray[Any]:
    rows, columns = plane.shape[:2]
    column, row = np.clip(np.floor(index), 0, (columns - 1, rows - 1)).astype(int).T
    found: NDArray[Any] = plane[row, column]
    return found


@dataclass(frozen=True)
class Calibrated:
    """What calibration_table.py stores."""

    intercept: float
    weights: Values
    quantiles: Values


def calibrated(parts: Sequence[Rows]) -> Calibrated:
    """Every trial counts the same, whatever its number of places."""
    features, logs, counts = _stacked(parts)
    intercept, weights = quantile_fit(features, logs, counts, ASKED)
    rest = logs - intercept - features @ weights
    return Calibrated(intercept, weights, np.array([weighted_quantile(rest, counts, q) for q in _QUANTILES]))


def left_out(parts: Sequence[Rows], folds: int = _FOLDS) -> list[Values]:
    """For each trial the log p90 of a model that was calibrated without it (and a tenth of the others)."""
    stated: list[Values] = [np.empty(0)] * len(parts)
    for fold in range(folds):
        model = calibrated([part for number, part in enumerate(parts) if number % folds != fold])
        for number in range(fold, len(parts), folds):
            stated[number] = model.intercept + parts[number].features @ model.weights
    return stated


def report(parts: Sequence[Rows], stated: Sequence[Values]) -> str:
    """Coverage and rank correlation, whole and by stated error. stated : log p90 of each trial, units."""
    logs = [np.log(part.error) for part in parts]
    said, true = np.concatenate(stated), np.concatenate(logs)
    counts = np.concatenate([np.full(len(part), 1 / max(1, len(part))) for part in stated])
    within = true <= said
    shares = [float((log <= s).mean()) for log, s in zip(logs, stated, strict=True) if len(s)]
    sizes = " / ".join(f"{np.exp(value):.2f}" for value in np.percentile(true, (5, 50, 95)))
    evenly = float((within * counts).sum() / counts.sum())
    worst, middle = np.percentile(shares, (10, 50))
    lines = [
        f"{len(parts)} trials, {len(true)} places; true error, units: {sizes} (5, 50, 95 %)",
        f"coverage of the stated p90: {within.mean():.3f} of the places, {evenly:.3f} if trials count alike",
        f"a tenth of the trials is covered below {worst:.2f}, half of them below {middle:.2f}",
        f"rank correlation: {spearman(said, true):.2f}",
    ]
    edges = [0, 0.5, 1, 2, 4, 8, 20, np.inf]
    for low, high in pairwise(edges):
        here = (np.exp(said) >= low) & (np.exp(said) < high)
        if here.sum() >= 20:
            lines.append(
                f"stated {low:g} to {high:g}: {here.sum()} places, coverage {within[here].mean():.2f}, "
                f"true p90 {np.exp(np.percentile(true[here], 90)):.2f}"
            )
    return "\n".join(lines)


def _stacked(parts: Sequence[Rows]) -> tuple[Values, Values, Values]:
    counts = np.concatenate([np.full(len(part.error), 1 / len(part.error)) for part in parts])
    return (
        np.concatenate([p.features for p in parts]),
        np.log(np.concatenate([p.error for p in parts])),
        counts,
    )


def _with_places(parts: Sequence[Rows]) -> list[Rows]:
    return [rows for rows in parts if len(rows.error)]


def table(name: str, model: Calibrated) -> str:
    """The model as constants of calibration_table.py."""
    weights, quantiles = (
        "".join(f"    {value:.4f},\n" for value in values) for values in (model.weights, model.quantiles)
    )
    return (
        f"{name}_INTERCEPT = {model.intercept:.4f}\n"
        f"{name}_WEIGHTS = (\n{weights})\n{name}_QUANTILES = (\n{quantiles})\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=90, help="of one section (default 90)")
    parser.add_argument("--consecutive", type=int, default=32, help="of two sections (default 32)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args()
    cells = [rows_of(trial) for trial in _told(trials(options.trials, options.seed))]
    sections = chain(landmark_trials(), consecutive_trials(options.consecutive, options.seed))
    blocks = [rows for trial in _told(sections) for rows in block_rows_of(trial)]
    agreeing = [rows for rows in cells if rows.agreeing >= LEVEL_ZERO_SHARE]
    parts = {"CELL": _with_places(agreeing), "BLOCK": _with_places(blocks)}
    text = '"""Written by benchmarks/calibrate.py; not to be edited. See docs/calibration.md."""\n\n'
    stated = {name: left_out(rows) for name, rows in parts.items()}
    for name, rows in parts.items():
        print(f"\n{name}\n{report(rows, stated[name])}")
        text += table(name, calibrated(rows))
    both = [rows for each in parts.values() for rows in each]
    said = [log_p90 for each in stated.values() for log_p90 in each]
    px = [log_p90 + np.log(rows.unit) for rows, log_p90 in zip(both, said, strict=True)]
    print(f"\nboth, level-0 px\n{report([in_px(rows) for rows in both], px)}")
    if options.write:
        TABLE.write_text(text)


def in_px(rows: Rows) -> Rows:
    """The same with errors in fixed level-0 px."""
    return replace(rows, error=rows.error * rows.unit, unit=1.0)


def _told(some: Iterable[Trial]) -> Iterator[Trial]:
    for trial in some:
        print(trial.name, flush=True)
        yield trial


if __name__ == "__main__":
    main()
