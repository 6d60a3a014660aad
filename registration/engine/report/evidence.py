"""The figures behind a verdict in a few words, with the limits that quality.py sets."""

from __future__ import annotations

from registration.engine import quality

_SLIDE_TISSUE = f"refused below {quality.SLIDE_TISSUE_NEEDED:g}"
#: name -> what the figure is, and what it decides ("" where it decides nothing by itself).
_SAID = {
    "slide_z": (
        "how far beyond chance places of the whole slides agree",
        f"refused below {quality.SLIDE_Z_NEEDED:g}, check below {quality.SLIDE_Z_SURE:g}",
    ),
    "slide_share": ("share of those places that agree", ""),
    "slide_blocks": (
        "how many places were compared",
        f"below {quality.SLIDE_BLOCKS_NEEDED} there is too little tissue",
    ),
    "slide_inconsistency": (
        "how far the run the other way round ends up elsewhere, per diagonal of the slide",
        f"refused above {quality.INCONSISTENCY_ALLOWED:g}",
    ),
    "slide_shown": ("1 where one direction had to be shown the other's answer", "check where it is 1"),
    "slide_tissue_fixed": ("share of the first slide's scene that shows tissue", _SLIDE_TISSUE),
    "slide_tissue_moving": ("share of the second slide's scene that shows tissue", _SLIDE_TISSUE),
    "slide_field_used": ("1 where a field is part of the answer", ""),
    "slide_field_gain_z": ("how clearly left-out places prefer the field to the affine alone", ""),
    "slide_share_before_field": ("share of left-out places that the affine alone predicts", ""),
    "slide_share_after_field": ("share of left-out places that the field predicts", ""),
    "region_tissue": ("share of the region that shows tissue", f"refused below {quality.TISSUE_NEEDED:g}"),
    "region_overlap": (
        "share of that tissue where the other slide has tissue, too",
        (
            f"refused below {quality.OVERLAP_NEEDED:g} where cells do not match, below "
            f"{quality.OVERLAP_TO_OUTWEIGH:g} where the slides are refused"
        ),
    ),
    "region_z": (
        "how far beyond chance the region's structures agree",
        f"refused below {quality.Z_NEEDED:g} where cells do not match",
    ),
    "region_agreeing": (
        "share of the places whose cells agree",
        f"check below {quality.SURE_SHARE:g}; below {quality.LEVEL_ZERO_SHARE:g} cells do not match",
    ),
    "region_windows": (
        "how many such places were compared",
        f"below {quality.WINDOWS_NEEDED} cells do not match",
    ),
    "region_lost": (
        "share of the tissue where the alignment could not be confirmed",
        f"check above {quality.LOST_TO_CHECK:g}; above {quality.LOST_TO_REFUSE:g} cells do not match",
    ),
    "region_stiffened": (
        "1 where the field was kept stiff, so that it does not fold or smear",
        "check where it is 1",
    ),
    "region_too_thin": (
        "1 where too few cells match for the field that was asked for",
        "check where it is 1",
    ),
}


def evidence_rows(evidence: dict[str, float]) -> list[tuple[str, float, str, str]]:
    """Name, value, meaning and limit of each figure; no words for a figure that has none here."""
    return [(name, value, *_SAID.get(name, ("", ""))) for name, value in evidence.items()]
