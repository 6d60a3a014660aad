"""Accuracy, time and memory of our methods beside ORB as the ROIAlign script uses it, in one run.

    make bench-registration            (ARGS="--repeat 5" for more runs of each)

Every run is a process of its own; the methods take turns. "seconds" is the registration of the region from
reading its pixels on: for `roialign` reading, ORB 50,000, brute force with cross-check and partial affine, at
OpenCV's default threads; for ours everything, the verdict included. "with slides" adds the slide-level
alignment that ours starts from, and is compared with the same seconds of the peer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

from benchmarks.cases import ROOT, cases

METHODS = ("accurate", "rigid", "roialign")
PEER = "roialign"
Run = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each method (default 3)")
    repeat = parser.parse_args().repeat
    for case in cases():
        runs: dict[str, list[Run]] = {method: [] for method in METHODS}
        for _ in range(repeat):
            for method in METHODS:
                runs[method].append(_run(case.name, method))
        _print_table(case.name, runs)


def _run(case: str, method: str) -> Run:
    command = [sys.executable, "-m", "benchmarks.one_registration", case, method]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    run: Run = json.loads(done.stdout.splitlines()[-1])
    return run


def _print_table(case: str, runs: dict[str, list[Run]]) -> None:
    print(f"\n{case}\n")
    print("| method | median px | p90 px | max px | seconds | with slides | peak MB | verdict | x faster |")
    print("|---|---|---|---|---|---|---|---|---|")
    for method, of_method in runs.items():
        pairs = list(zip(runs[PEER], of_method, strict=True))
        region = statistics.median(peer["seconds"] / run["seconds"] for peer, run in pairs)
        whole = statistics.median(peer["seconds"] / _with_slides(run) for peer, run in pairs)
        ratios = "1" if method == PEER else f"{region:.1f} ({whole:.1f} with slides)"
        print(f"| {method} | {_figures(of_method)} | {of_method[0]['verdict']} | {ratios} |")


def _with_slides(run: Run) -> float:
    return run["seconds"] + run["align_seconds"]


def _figures(runs: list[Run]) -> str:
    errors = " | ".join(f"{_median(runs, key):.2f}" for key in ("median", "p90", "max"))
    whole = statistics.median(_with_slides(run) for run in runs)
    return f"{errors} | {_median(runs, 'seconds'):.1f} | {whole:.1f} | {_median(runs, 'peak_mb'):.0f}"


def _median(runs: list[Run], key: str) -> float:
    return statistics.median(run[key] for run in runs)


if __name__ == "__main__":
    main()
