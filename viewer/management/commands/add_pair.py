"""Pair an H&E slide with an IHC slide."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from viewer import services
from viewer.errors import InvalidInput
from viewer.management.arguments import FAILED, owner_named, um_per_px
from viewer.models import Sections, Slide, Stain


class Command(BaseCommand):
    help = (
        "Pairs two slides, given as paths (added if new) or slide ids. Exit status 2 if that can't be done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--he", required=True, metavar="PATH|ID", help="the fixed image")
        parser.add_argument("--ihc", required=True, metavar="PATH|ID", help="the moving image")
        sections = parser.add_mutually_exclusive_group()
        for option, value in (("--same-section", Sections.SAME), ("--consecutive", Sections.CONSECUTIVE)):
            sections.add_argument(
                option, dest="sections", action="store_const", const=value, default=Sections.UNKNOWN
            )
        parser.add_argument("--he-mpp", type=um_per_px, metavar="X[,Y]", help="µm per level-0 px of the H&E")
        parser.add_argument("--ihc-mpp", type=um_per_px, metavar="X[,Y]", help="µm per level-0 px of the IHC")
        parser.add_argument("--name", default="")
        parser.add_argument("--owner", help="user name; default: the only user or the first administrator")

    def handle(self, **options: Any) -> None:
        user = owner_named(options["owner"])
        try:
            fixed = _slide(options["he"], user, options["he_mpp"])
            moving = _slide(options["ihc"], user, options["ihc_mpp"])
            pair = services.make_pair(fixed, moving, user, options["sections"], options["name"])
        except InvalidInput as error:
            raise CommandError(error.message, returncode=FAILED) from error
        for slide, stain in ((fixed, Stain.HE), (moving, Stain.IHC)):  # only now: a mistake changes no slide
            Slide.objects.filter(pk=slide.pk).update(stain=stain)
        self.stdout.write(f"pair {pair.pk}: {pair.name} ({pair.get_sections_display()})")


def _slide(given: str, user: User, mpp: tuple[float, float] | None) -> Slide:
    """The slide with this id, or of this path; a file called like a number is a path."""
    if not given.isdecimal() or Path(given).exists():
        return services.add_slide(Path(given), user, um_per_px=mpp)
    slide = Slide.objects.visible_to(user).filter(pk=int(given)).first()
    if slide is None:
        raise InvalidInput("not_found", f"There is no slide {given}.")
    if mpp is not None:
        services.state_mpp(slide, *mpp)
    return slide
