"""Same section or consecutive: what a person declared beside what the evidence says."""

from __future__ import annotations

from typing import Any

from registration.engine.result import SectionKind
from registration.models import PairAlignment
from viewer.models import Sections

_WORDS = {
    Sections.SAME.value: "one section that was stained twice",
    Sections.CONSECUTIVE.value: "two consecutive sections",
}


def stated_section(alignment: PairAlignment) -> dict[str, Any] | None:
    """{"kind", "share", "message", "declared"}; None where the evidence was not looked at.

    declared : same, consecutive, or unknown.
    """
    if alignment.section is None:
        return None
    return {**alignment.section, "declared": alignment.pair.sections}


def disagreement(section: dict[str, Any] | None) -> str:
    """What to say, and to do next, where the person and the evidence differ; "" where they do not."""
    if section is None or SectionKind.UNKNOWN in (section["kind"], section["declared"]):
        return ""
    if section["kind"] == section["declared"]:
        return ""
    said, found = _WORDS[section["declared"]], _WORDS[section["kind"]]
    return (
        f"The pair was declared as {said}, but its cells speak for {found}. Look at both slides at high "
        "magnification: correct the declaration if it is wrong, or pair the right slides."
    )
