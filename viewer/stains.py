"""A first guess of a slide's stain from its file name, shown until somebody states it."""

from __future__ import annotations

import re

from viewer.models import Stain

_WORD = r"(?:^|[^a-z0-9])(?:{})(?:$|[^a-z0-9])"
_HE = re.compile(_WORD.format("h[&_-]?e|hematoxylin|haematoxylin|eosin"))
_IHC = re.compile(_WORD.format(r"ihc|dab|ki[_-]?67|her[_-]?2|pd[_-]?l1|p53|p63|cd\d+"))


def guess_stain(name: str) -> Stain:
    """HE or IHC where the name says exactly one of them, else UNKNOWN. For display only."""
    lower = name.lower()
    says_he, says_ihc = bool(_HE.search(lower)), bool(_IHC.search(lower))
    if says_he == says_ihc:
        return Stain.UNKNOWN
    return Stain.HE if says_he else Stain.IHC
