"""Written by benchmarks/calibrate.py; not to be edited. See docs/calibration.md."""

CELL_INTERCEPT = 0.18
CELL_WEIGHTS = (0.76, 0.0, 0.01, 0.0, 0.0, 0.1, 0.06, 0.0, 0.09, 0.44)
CELL_QUANTILES = (
    -2.6,
    -2.1,
    -1.8,
    -1.6,
    -1.4,
    -1.3,
    -1.2,
    -1.1,
    -1.0,
    -0.9,
    -0.8,
    -0.7,
    -0.6,
    -0.5,
    -0.4,
    -0.3,
    -0.2,
    -0.05,
    0.15,
    0.5,
)
BLOCK_INTERCEPT = 1.0
BLOCK_WEIGHTS = (0.5, 0.3, 0.1, 0.1, 0.0)
BLOCK_QUANTILES = CELL_QUANTILES
