"""The tissue itself, without colours: outline, glands, stroma and the places of nuclei and fibres.

Everything is in level-0 px of the fixed slide, corner-based. Soft parts are planes at 1 / CELL of level 0;
nuclei and fibres are lists of points, so that each stain can draw them sharply wherever its slide has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from registration.engine.geometry import Points
from registration.engine.synthetic.noise import octave_noise, smooth_noise, wavy_radius

#: Level-0 px to a cell of the soft planes.
CELL = 4
#: Kinds of things that are drawn; the first three are nuclei.
EPITHELIAL, SPINDLE, LYMPHOCYTE, FIBRE = range(4)
#: Distance between neighbouring epithelial nuclei along a gland, and width of the epithelium, level-0 px.
NUCLEUS_STEP = 25.0
EPITHELIUM = 62.0
LARGEST_GLAND = 270.0

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Marks:
    """Things at points. centre : (n, 2) float64. kind, angle (radians), positive (for DAB): (n,)."""

    centre: Points
    kind: NDArray[np.int64]
    angle: NDArray[np.float64]
    positive: NDArray[np.bool_]

    def join(self, *others: Marks) -> Marks:
        every = (self, *others)
        return Marks(
            np.concatenate([marks.centre for marks in every]),
            np.concatenate([marks.kind for marks in every]),
            np.concatenate([marks.angle for marks in every]),
            np.concatenate([marks.positive for marks in every]),
        )

    def where(self, chosen: NDArray[np.bool_]) -> Marks:
        return Marks(self.centre[chosen], self.kind[chosen], self.angle[chosen], self.positive[chosen])


@dataclass(frozen=True)
class Scene:
    """soft : (rows, cols, 3) uint8 at 1 / CELL: eosin, hematoxylin haze, DAB haze; 0 is glass."""

    soft: Bytes
    nuclei: Marks
    fibres: Marks

    @classmethod
    def empty(cls, side: int) -> Scene:
        """A slide without tissue."""
        cells = -(-side // CELL)
        nothing = Marks(np.empty((0, 2)), np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_))
        return cls(np.zeros((cells, cells, 3), np.uint8), nothing, nothing)


@dataclass(frozen=True)
class _Gland:
    centre: NDArray[np.float64]
    radius: float
    positivity: float


def make_scene(side: int, seed: int, nuclei_seed: int | None = None) -> Scene:
    """Tissue on a slide of side x side px. nuclei_seed : the next section: glands and fibres a little
    changed, other nuclei.
    """
    rng = np.random.default_rng(seed)
    cells = -(-side // CELL)
    tissue = _tissue(rng, side, cells)
    glands = _place_glands(rng, side, tissue)
    outlines = [_outlines(rng, gland) for gland in glands]
    if nuclei_seed is not None:
        outlines = _next_outlines(np.random.default_rng((nuclei_seed, 5)), glands, outlines)
    epithelium, lumen = _gland_masks(outlines, cells)
    direction = _fibre_direction(rng, epithelium | lumen)
    crowded = _crowded(rng, cells)
    soft = _soft_planes(rng, tissue, epithelium, lumen, _positivity(glands, outlines, cells), crowded)
    if nuclei_seed is not None:
        soft = _next_texture(np.random.default_rng((nuclei_seed, 6)), soft)
    nuclei_rng = np.random.default_rng(rng.integers(2**32) if nuclei_seed is None else nuclei_seed)
    between = (tissue & ~epithelium & ~lumen).astype(np.uint8)
    stroma = cv2.erode(between, np.ones((9, 9), np.uint8)) > 0
    lining = [_lining(nuclei_rng, gland, outer) for gland, (outer, _) in zip(glands, outlines, strict=True)]
    spindles = _scatter(nuclei_rng, side, stroma, 66.0, SPINDLE, direction)
    lymphocytes = _scatter(nuclei_rng, side, stroma, 34.0, LYMPHOCYTE, direction, crowded)
    fibres = _scatter(nuclei_rng, side, stroma, 20.0, FIBRE, direction)
    return Scene(soft, spindles.join(lymphocytes, *lining), fibres)


def _tissue(rng: np.random.Generator, side: int, cells: int) -> NDArray[np.bool_]:
    """A lobed main piece with a ragged edge, a small one beside it, and clefts."""
    mask = np.zeros((cells, cells), np.uint8)
    angles = np.linspace(0, 2 * np.pi, 1440, endpoint=False)
    radius = side * np.clip(0.38 + 0.07 * wavy_radius(rng, angles, 120), 0.2, 0.46)
    _fill(mask, _closed_curve(np.array([side / 2, side / 2]), radius, angles), 255)
    for _ in range(5):
        centre = side / 2 + side * rng.uniform(-0.3, 0.3, 2)
        cleft = side * 0.012 * np.clip(1 + 0.5 * wavy_radius(rng, angles, 40), 0.1, None)
        stretch, turn = rng.uniform(1.0, 3.5), rng.uniform(0, np.pi)
        axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        curve = _closed_curve(np.zeros(2), cleft, angles) * (stretch, 1 / stretch) @ axes
        _fill(mask, centre + curve, 0)
    return mask > 0


def _place_glands(rng: np.random.Generator, side: int, tissue: NDArray[np.bool_]) -> list[_Gland]:
    """Glands that keep apart, in the parts of the tissue that have any."""
    largest = min(LARGEST_GLAND, side / 9)
    room = np.asarray(cv2.distanceTransform(tissue.astype(np.uint8), cv2.DIST_L2, 3)) * CELL
    glandular = octave_noise(rng, tissue.shape[0], 4, 2) > -0.55
    glands: list[_Gland] = []
    circles = np.empty((0, 3))
    for _ in range(int(40 * (side / largest) ** 2)):
        centre, radius = rng.uniform(0, side, 2), rng.uniform(0.4, 1.0) * largest
        column, row = (centre / CELL).astype(int)
        if room[row, column] < 1.15 * radius or not glandular[row, column]:
            continue
        gaps = np.hypot(*(circles[:, :2] - centre).T) - circles[:, 2] - radius
        if gaps.min(initial=np.inf) > 14:
            circles = np.vstack((circles, (*centre, radius)))
            glands.append(_Gland(centre, radius, float(rng.beta(0.7, 1.1))))
    return glands


def _outlines(rng: np.random.Generator, gland: _Gland) -> tuple[Points, Points]:
    """(outer, inner) closed curves of a gland's epithelium, (n, 2) each with the same angles."""
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    oval = 0.2 * rng.random() * np.cos(2 * (angles - rng.uniform(0, np.pi)))
    outer = gland.radius * np.clip(0.86 + oval + 0.12 * wavy_radius(rng, angles, 9), 0.45, 1.12)
    folds = np.clip(1 + 0.25 * wavy_radius(rng, angles, 24), 0.6, 2.2)
    depth = np.maximum(min(EPITHELIUM, 0.6 * gland.radius), rng.uniform(0, 0.75) ** 2 * outer) * folds
    inner = np.clip(outer - depth, 0.04 * gland.radius, None)
    return _closed_curve(gland.centre, outer, angles), _closed_curve(gland.centre, inner, angles)


def _next_outlines(
    rng: np.random.Generator, glands: list[_Gland], outlines: list[tuple[Points, Points]]
) -> list[tuple[Points, Points]]:
    """The same glands a few um further on: outlines that wander by some 3 %."""
    angles = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    changed = []
    for gland, (outer, inner) in zip(glands, outlines, strict=True):
        factors = (1 + 0.03 * wavy_radius(rng, angles, 7)).clip(0.9, 1.1)[:, None]
        changed.append(tuple(gland.centre + (curve - gland.centre) * factors for curve in (outer, inner)))
    return [(outer, inner) for outer, inner in changed]


def _next_texture(rng: np.random.Generator, soft: Bytes) -> Bytes:
    """Other fine structure in the same stroma and epithelium."""
    cells = soft.shape[0]
    change = 1 + 0.09 * octave_noise(rng, cells, max(8, cells // 12), 3)
    return np.asarray(np.clip(np.rint(soft * change[..., None]), 0, 255), np.uint8)


def _gland_masks(
    outlines: list[tuple[Points, Points]], cells: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(epithelium, lumen) at 1 / CELL."""
    mask = np.zeros((cells, cells), np.uint8)
    for outer, inner in outlines:
        _fill(mask, outer, 1)
        _fill(mask, inner, 2)
    return mask == 1, mask == 2


def _positivity(
    glands: list[_Gland], outlines: list[tuple[Points, Points]], cells: int
) -> NDArray[np.float32]:
    plane = np.zeros((cells, cells), np.uint8)
    for gland, (outer, _) in zip(glands, outlines, strict=True):
        _fill(plane, outer, int(255 * gland.positivity))
    return (plane / 255).astype(np.float32)


def _fibre_direction(rng: np.random.Generator, gland: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Radians at 1 / (4 CELL): fibres run round the glands and in waves between them."""
    side = max(2, gland.shape[0] // 4)
    outside = cv2.resize((~gland).astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, 5)
    level = cv2.GaussianBlur(distance, (0, 0), 2) + 14 * octave_noise(rng, side, max(2, side // 40), 2)
    slope_y, slope_x = np.gradient(np.asarray(level, dtype=np.float32))
    direction: NDArray[np.float64] = np.arctan2(slope_x, -slope_y).astype(np.float64)
    return direction


def _crowded(rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    """Share of places taken by lymphocytes: few everywhere, many in aggregates."""
    clusters = octave_noise(rng, cells, max(3, cells // 220), 2)
    return np.asarray(0.05 + 0.85 * _step(clusters, 1.25, 1.9), dtype=np.float32)


def _soft_planes(
    rng: np.random.Generator,
    tissue: NDArray[np.bool_],
    epithelium: NDArray[np.bool_],
    lumen: NDArray[np.bool_],
    positivity: NDArray[np.float32],
    crowded: NDArray[np.float32],
) -> Bytes:
    cells = tissue.shape[0]
    broad = octave_noise(rng, cells, max(4, cells // 120), 3)
    fine = octave_noise(rng, cells, max(8, cells // 12), 3)
    open_matrix = _step(smooth_noise(rng, cells, max(6, cells // 40)) + 0.4 * fine, 1.0, 1.6)
    stroma = (96 + 13 * broad + 13 * fine) * (1 - 0.7 * open_matrix)
    eosin = np.where(epithelium, 104 + 9 * fine + 6 * broad, stroma)
    haze = np.where(epithelium, 58 + 8 * fine, 12 + 4 * fine + 60 * crowded)
    brown = np.where(epithelium, 10 + 70 * positivity**2 + 5 * fine, 7 + 3 * fine)
    secretion = lumen & (broad > 0.9)
    planes = np.stack((eosin, haze, brown), axis=-1)
    planes[lumen] = 0
    planes[secretion] = (46, 6, 4)
    planes[~tissue] = 0
    soft = np.clip(planes, 0, 255).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(soft, (0, 0), 0.7), dtype=np.uint8)


def _lining(rng: np.random.Generator, gland: _Gland, outer: Points) -> Marks:
    """Epithelial nuclei: a row along the base and a looser one above it, long axes towards the lumen."""
    rows = [_ring(rng, gland, outer, 21.0, 1.0), _ring(rng, gland, outer, 40.0, 0.45)]
    return rows[0].join(rows[1])


def _ring(rng: np.random.Generator, gland: _Gland, outer: Points, depth: float, share: float) -> Marks:
    edges = np.hypot(*(np.roll(outer, -1, axis=0) - outer).T)
    along = np.concatenate(([0.0], np.cumsum(edges)))
    count = max(3, int(along[-1] / NUCLEUS_STEP))
    at = (np.arange(count) + rng.random() + rng.uniform(-0.22, 0.22, count)) * along[-1] / count
    closed = np.vstack((outer, outer[:1]))
    base = np.stack([np.interp(at % along[-1], along, closed[:, axis]) for axis in (0, 1)], axis=-1)
    inwards = gland.centre - base
    length = np.hypot(inwards[:, 0], inwards[:, 1])
    depths = np.minimum(depth + rng.normal(0, 4.5, count), 0.8 * length)
    centre = base + inwards / length[:, None] * depths[:, None]
    angle = np.arctan2(inwards[:, 1], inwards[:, 0]) + rng.normal(0, 0.25, count)
    kept = rng.random(count) < share
    positive = rng.random(count) < gland.positivity
    return Marks(centre, np.full(count, EPITHELIAL), angle, positive).where(kept)


def _scatter(
    rng: np.random.Generator,
    side: int,
    allowed: NDArray[np.bool_],
    step: float,
    kind: int,
    direction: NDArray[np.float64],
    share: NDArray[np.float32] | None = None,
) -> Marks:
    """Marks about `step` px apart wherever `allowed` (at 1 / CELL), on a share of these places."""
    grid = np.arange(0, side, step)
    corners = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    centre = corners + rng.uniform(0, step, corners.shape)
    luck = rng.random(len(centre))
    jitter = rng.normal(0, 0.22, len(centre))
    column, row = np.minimum(centre // CELL, len(allowed) - 1).astype(int).T
    kept = allowed[row, column] & (True if share is None else luck < share[row, column])
    last = len(direction) - 1
    angle = direction[np.minimum(row // 4, last), np.minimum(column // 4, last)] + jitter
    positive = rng.random(len(centre)) < 0.02
    return Marks(centre, np.full(len(centre), kind), angle, positive).where(
        kept & (centre < side).all(axis=1)
    )


def _step(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """0 below low, 1 above high, straight between."""
    ramp: NDArray[np.float32] = np.clip((values - low) / (high - low), 0, 1).astype(np.float32)
    return ramp


def _closed_curve(
    centre: NDArray[np.float64], radius: NDArray[np.float64], angles: NDArray[np.float64]
) -> Points:
    curve: Points = centre + radius[:, None] * np.stack((np.cos(angles), np.sin(angles)), axis=-1)
    return curve


def _fill(mask: Bytes, curve: Points, value: int) -> None:
    """Fill a closed curve (level-0 px) in a plane at 1 / CELL."""
    cv2.fillPoly(mask, [np.rint(curve / CELL - 0.5).astype(np.int32)], (value,))
