"""One page of HTML that needs nothing else: pictures inside, no script, no address."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from html import escape
from itertools import groupby

from registration.engine.config import config_hash
from registration.engine.report.evidence import evidence_rows
from registration.engine.report.recorder import RESULT, Shot
from registration.engine.result import Level, RegistrationResult, Spread

_SAYS = {
    Level.GOOD: "Good: nothing speaks against this registration.",
    Level.CHECK: "Check: look at it before you use it.",
    Level.REFUSED: "Refused: do not use it.",
}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1a1c1f; --faint: #5b626b; --line: #d4d8dd;
  --good: #17663a; --check: #8a5a00; --refused: #a3201d; }
@media (prefers-color-scheme: dark) { :root { --back: #16181b; --text: #e6e8ea; --faint: #a3abb4;
  --line: #3a4047; --good: #6fd39b; --check: #f0b95a; --refused: #ff8d85; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 64rem; padding: 1.5rem 1rem 4rem; background: var(--back);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
.verdict { border-left: .35rem solid; padding: .25rem 0 .25rem .9rem; font-weight: 600; }
.good { color: var(--good); } .check { color: var(--check); } .refused { color: var(--refused); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; min-width: 20rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td:first-child { overflow-wrap: break-word; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 1.25rem 0; } figcaption { color: var(--faint); max-width: 46rem; }
figcaption b { color: var(--text); display: block; }
img { display: block; max-width: 100%; max-height: 85vh; border: 1px solid var(--line); background: #fff; }
footer { margin-top: 3rem; color: var(--faint); }
"""


def page(title: str, result: RegistrationResult, shots: Iterable[Shot]) -> str:
    """The whole document. Everything that comes from outside (titles, reasons, stages) is escaped."""
    shots = tuple(shots)
    parts = [
        f"<h1>{escape(title)}</h1>",
        _verdict(result),
        "<h2>In short</h2>",
        _table(("", ""), _summary(result)),
        *_pictures(shot for shot in shots if shot.stage == RESULT),
        "<h2>Time and what is left</h2>",
        _stages(result),
        *_pictures(shot for shot in shots if shot.stage != RESULT),
        "<h2>Evidence</h2>",
        _evidence(result),
        "<footer>Pixels (px) are level-0 pixels of the first slide.</footer>",
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en">\n<head>{head}</head>\n<body>\n{body}\n</body>\n</html>\n'


def _verdict(result: RegistrationResult) -> str:
    level = result.verdict.level
    reasons = "".join(f"<li>{escape(reason.message)}</li>" for reason in result.verdict.reasons)
    said = f'<p class="verdict {level.value}">{escape(_SAYS[level])}</p>'
    return said + (f"<ul>{reasons}</ul>" if reasons else "")


def _summary(result: RegistrationResult) -> list[tuple[str, str]]:
    rows = [("Method", result.config.method)]
    if result.box is None:
        rows.append(("Region", "the whole slide"))
    else:
        box = result.box
        rows.append(("Region", f"x {box.x}, y {box.y}, {box.width} x {box.height} px"))
    if result.section is not None:
        rows.append(("Sections", result.section.message))
    rows.append(("Error at held-out matches" if result.box is None else "Expected error", _errors(result)))
    if result.expected is not None and not result.refused:
        rows.append(("Largest expected error (p90)", _largest(result)))
    for name, frame in (("First slide", result.transform.fixed), ("Second slide", result.transform.moving)):
        um = frame.um_per_px
        scale = "um/px unknown" if um is None else f"{um[0]:.4g} x {um[1]:.4g} um/px"
        rows.append((name, f"{frame.size.width} x {frame.size.height} px, {scale}"))
    rows.append(("Engine", f"version {result.engine_version}, settings {config_hash(result.config)}"))
    return rows


def _errors(result: RegistrationResult) -> str:
    if result.refused:
        return "not known, since the result is refused"
    pairs: tuple[tuple[Spread | None, str], ...] = ((result.error_um, "um"), (result.error_px, "px"))
    said = [
        f"median {_number(error.median)}, p90 {_number(error.p90)} {unit}"
        for error, unit in pairs
        if error is not None
    ]
    return "; ".join(said) or "not measured"


def _largest(result: RegistrationResult) -> str:
    known: list[float] = []
    if result.expected is not None and result.box is not None:
        squares = result.expected.within(result.box)
        known = squares.p90[squares.measured].tolist()
    if not known:
        return "not measured"
    um, px = result.transform.fixed.um_per_px, max(known)
    return (f"{_number(px * math.sqrt(um[0] * um[1]))} um; " if um else "") + f"{_number(px)} px"


def _stages(result: RegistrationResult) -> str:
    rows = [
        (
            stage.name,
            f"{stage.seconds:.2f}",
            "" if stage.residual_px is None else _number(stage.residual_px),
        )
        for stage in result.stages
    ]
    rows.append(("together", f"{sum(stage.seconds for stage in result.stages):.2f}", ""))
    return _table(("stage", "seconds", "left after it, px"), rows, (1, 2))


def _evidence(result: RegistrationResult) -> str:
    rows = [
        (name, _number(value), what, limit) for name, value, what, limit in evidence_rows(result.evidence)
    ]
    return _table(("figure", "value", "what it is", "limit"), rows, (1,))


def _pictures(shots: Iterable[Shot]) -> Iterable[str]:
    for stage, group in groupby(shots, key=lambda shot: shot.stage):
        yield f"<h2>{escape(stage[:1].upper() + stage[1:])}</h2>"
        for shot in group:
            content = base64.b64encode(shot.png).decode("ascii")
            yield (
                f'<figure><img alt="{escape(shot.name)}" src="data:image/png;base64,{content}">'
                f"<figcaption><b>{escape(shot.name)}</b>{escape(shot.caption)}</figcaption></figure>"
            )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], numbers: tuple[int, ...] = ()) -> str:
    """numbers : the columns of numbers, from 0."""

    def cells(row: tuple[str, ...], tag: str) -> str:
        kinds = (' class="number"' if column in numbers else "" for column in range(len(row)))
        return "".join(f"<{tag}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(row, kinds, strict=True))

    top = f"<thead><tr>{cells(head, 'th')}</tr></thead>" if any(head) else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
