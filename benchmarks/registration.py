"""Accuracy, verdicts, time and memory of the registration, with its peers in the same run.

    make bench-registration                    everything (about an hour on 2 cores)
    make bench-registration ARGS=--quick       a few cases of each group (some minutes)
    make bench-registration ARGS=--write-docs  everything, and the tables into docs/benchmarks.md

Every measurement is a process of its own; where seconds count, nothing else runs beside it. Each one's
figures are kept in bench-out/registration.jsonl as soon as they are there: a run that was stopped goes on
from there, and figures are taken anew only where the code that they depend on has changed. The exit status
says nothing about the figures: read the targets.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.case import OUT, ROOT, Group
from benchmarks.document import report, write_document
from benchmarks.figures import Figures
from benchmarks.groups import SWEEP, groups
from benchmarks.peers import elastix_is_there
from benchmarks.store import Store

#: A measurement that takes longer is given up and counts as crashed, seconds.
LONGEST = 1200
Run = tuple[Group, str, str]


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    chosen = _chosen(groups(options.sweep), options.group)
    store = Store(options.figures, keep=options.keep)
    runs = [] if options.tables else list(_wanted(chosen, store, options))
    if runs:
        print(f"{len(runs)} measurements to take; those already in {options.figures} are not repeated.")
    for group in chosen:
        _measure(group, [run for run in runs if run[0] is group], store, options.jobs)
    print(report(chosen, store))
    if options.write_docs:
        write_document(chosen, store)


def _chosen(every: Sequence[Group], names: list[str] | None) -> list[Group]:
    """Those of these names; all of them where none is given. SystemExit for a name that there is not."""
    known = [group.name for group in every]
    if unknown := [name for name in names or () if name not in known]:
        sys.exit(f"error: there is no group {', '.join(unknown)}; there are {', '.join(known)}")
    return [group for group in every if not names or group.name in names]


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--quick", action="store_true", help="the first cases of each group only")
    add("--cases", type=int, help="no more than so many cases of each group")
    add("--group", action="append", help="this group only (may be given again)")
    add("--methods", help="these methods only, with commas between")
    add("--sweep", type=int, default=SWEEP, help=f"random cases (default {SWEEP})")
    add(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="measurements at a time where seconds don't count",
    )
    add("--fresh", action="store_true", help="take figures again that are already there")
    add("--keep", action="store_true", help="figures of earlier code count too")
    add("--tables", action="store_true", help="measure nothing; print what is there")
    add("--write-docs", action="store_true", help="write docs/benchmarks.md")
    add("--figures", type=Path, default=OUT / "registration.jsonl", help="where the figures are kept")
    return parser.parse_args(arguments)


def _wanted(chosen: Iterable[Group], store: Store, options: argparse.Namespace) -> Iterable[Run]:
    methods = options.methods.split(",") if options.methods else None
    if not elastix_is_there():
        print("elastix is left out: itk-elastix is not installed (scripts/setup-benchmark says why).")
    for group in chosen:
        for case, method in group.runs(group.quick if options.quick else options.cases):
            if (methods and method not in methods) or (method == "elastix" and not elastix_is_there()):
                continue
            if options.fresh or store.get(group, case, method) is None:
                yield group, case, method


def _measure(group: Group, runs: list[Run], store: Store, jobs: int) -> None:
    pool = ThreadPoolExecutor(1 if group.alone else max(1, jobs))
    try:
        for (_, case, method), figures in zip(runs, pool.map(_one, runs), strict=True):
            store.put(group, case, method, figures)
            print(
                f"{time.strftime('%H:%M:%S')} {group.name} | {case} | {method}: {_line(figures)}", flush=True
            )
    finally:
        pool.shutdown(cancel_futures=True)


def _one(run: Run) -> Figures:
    group, case, method = run
    command = [sys.executable, "-m", "benchmarks.one_registration", group.name, case, method]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"crashed": f"longer than {LONGEST} s"}
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return {"crashed": lines[-1] if lines else f"exit status {done.returncode}"}
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _line(figures: Figures) -> str:
    for key in ("crashed", "skipped"):
        if key in figures:
            return f"{key}: {figures[key]}"
    words = [f"{figures['median']:.2f} px"] if "median" in figures else []
    words += [figures["verdict"], *figures["reasons"]] if "verdict" in figures else []
    words += [f"{figures['seconds']:.1f} s", f"{figures['peak_mb']:.0f} MB"] if "seconds" in figures else []
    return ", ".join(words)


if __name__ == "__main__":
    main()
