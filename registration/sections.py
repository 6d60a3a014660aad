"""Same section or consecutive: what a person declared beside what the evidence says."""

from __future__ import annotations

from typing import Any

from registration.engine import sections as engine
from registration.engine.result import Section, SectionKind
from registration.models import PairAlignment


def stated_section(alignment: PairAlignment) -> dict[str, Any] | None:
    """{"kind", "share", "message", "declared"}; None where the evidence was not looked at.

    declared : same, consecutive, or unknown.
    """
    if alignment.section is None:
        return None
    return {**alignment.section, "declared": alignment.pair.sections}


def disagreement(section: dict[str, Any] | None) -> str:
    """What to say, and to do next, where the person and the evidence differ; "" where they do not."""
    if section is None:
        return ""
    found = Section(SectionKind(section["kind"]), section["share"], section["message"])
    return engine.disagreement(found, SectionKind(section["declared"])) or ""
