"""What a verdict says, in plain words for a pathologist: what was seen, and what to do next.

One function per code; the codes are stable. docs/registration.md lists them.
"""

from __future__ import annotations

from registration.engine.result import Reason


def no_texture() -> Reason:
    return Reason(
        "no_texture",
        "There is too little tissue in common to compare the two slides. Check that both scans show tissue; "
        "if they do, set two or more landmarks by hand.",
    )


def not_the_same_tissue(share: float, blocks: int) -> Reason:
    return Reason(
        "not_the_same_tissue",
        f"The two slides do not seem to show the same tissue: {share:.0%} of {blocks} places agree with the "
        "best alignment; unrelated slides can be made to agree as well. Check that the right slides were "
        "paired and that their um/px are right; if so, set landmarks or leave out what only one slide shows.",
    )


def not_reproducible(inconsistency: float, allowed: float) -> Reason:
    return Reason(
        "not_reproducible",
        f"Aligning the slides the other way round gives another answer ({inconsistency:.1%} of the slide's "
        f"diagonal apart, {allowed:.0%} is allowed). Do not use this alignment; set landmarks by hand.",
    )


def thin_evidence(share: float, blocks: int) -> Reason:
    return Reason(
        "thin_evidence",
        f"The alignment is likely but rests on little: {share:.0%} of {blocks} places agree. Compare the "
        "outline and two or three structures on both slides before using it.",
    )


def found_one_way() -> Reason:
    return Reason(
        "found_one_way",
        "The alignment was found from one of the two slides only; from the other one it was confirmed "
        "after it was known where to look. Compare the outline and two or three structures on both slides "
        "before using it.",
    )


def blank_slide(which: str, tissue: float) -> Reason:
    return Reason(
        "blank_slide",
        f"The {which} slide shows hardly any tissue ({tissue:.2%} of what was scanned). Check that it is the "
        "right file and that nothing was left out that should count.",
    )


def error_needs_um() -> Reason:
    return Reason(
        "error_needs_um",
        "How far off the alignment may be can't be said without um per pixel where the cells do not match. "
        "Give the um/px of both slides.",
    )


def blank_region(tissue: float) -> Reason:
    return Reason(
        "blank_region",
        f"The region shows hardly any tissue ({tissue:.0%} of it). Choose a region with tissue in it.",
    )


def no_overlap(overlap: float) -> Reason:
    return Reason(
        "no_overlap",
        f"The other slide has tissue in only {overlap:.0%} of this region's tissue. Choose a region that "
        "both slides show.",
    )


def no_agreement() -> Reason:
    return Reason(
        "no_agreement",
        "Nothing in the region confirms the alignment: at no scale does its texture agree with the other "
        "slide more often than by chance. Check the alignment of the whole slides, or set landmarks around "
        "the region.",
    )


def lost_in_places(share: float) -> Reason:
    return Reason(
        "lost_in_places",
        f"In {share:.0%} of the region's tissue the alignment could not be confirmed (missing or damaged "
        "tissue, or no texture). Leave out the patches that are marked there.",
    )


def only_the_region_agrees() -> Reason:
    return Reason(
        "only_the_region_agrees",
        "The slides as a whole could not be aligned with certainty, but this region's own texture agrees; "
        "compare the surroundings before using it.",
    )


def few_windows_agree(agreeing: float) -> Reason:
    return Reason(
        "few_windows_agree",
        f"Only {agreeing:.0%} of the region's places agree in detail. Look at the map of expected errors and "
        "use the patches where it is low.",
    )


def region_level_accuracy() -> Reason:
    return Reason(
        "region_level_accuracy",
        "The cells of the two sections do not match one to one (consecutive sections?): the alignment holds "
        "for the region, not for single cells. Compare areas, such as glands or tumour fields.",
    )


def large_error(error: float, limit: float, unit: str) -> Reason:
    return Reason(
        "large_error",
        f"One place in ten is expected to be off by more than {error:.1f} {unit} (limit {limit:g} {unit}). "
        "Look at the map of expected errors and use the patches where it is low.",
    )


def rigid_only() -> Reason:
    return Reason(
        "rigid_only",
        "Too few cells match to say how the tissue bends: only turn, shift and size were fitted. Take a "
        "larger region for more.",
    )


def kept_from_folding() -> Reason:
    return Reason(
        "kept_from_folding",
        "The tissue seems to be torn, folded or strongly bent here: the alignment was kept stiff so that "
        "nuclei keep their shape. Check the places that the map of expected errors marks.",
    )


def landmarks_left_out(count: int, given: int) -> Reason:
    return Reason(
        "landmarks_left_out",
        f"Not used: {count} of {given} landmarks, too far from where the images agree. Check that each marks "
        "the same place on both slides.",
    )
