"""Add slides from files and folders."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from viewer import services
from viewer.errors import InvalidInput
from viewer.management.arguments import FAILED, owner_named, um_per_px
from viewer.models import Slide, SlideStatus, Stain
from viewer.wsi import SlideError


class Command(BaseCommand):
    help = (
        "Adds slides: files, or all that a folder holds. A folder with one DICOM series is one slide. "
        "Adding the same content again changes nothing but what is stated. "
        "Exit status 2 if nothing could be added and something failed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH")
        parser.add_argument("--owner", help="user name; default: the only user or the first administrator")
        parser.add_argument("--stain", choices=Stain.values)
        parser.add_argument(
            "--mpp", type=um_per_px, metavar="X[,Y]", help="µm per level-0 px, for all of them"
        )
        parser.add_argument("--patient", help="a pseudonym, never a name")

    def handle(self, *, paths: list[Path], owner: str | None, **options: Any) -> None:
        user = owner_named(owner)
        stated = {"stain": options["stain"], "um_per_px": options["mpp"], "patient": options["patient"]}
        self._known = set(Slide.objects.filter(owner=user).values_list("pk", flat=True))
        outcomes = [self._add(file, user, stated) for path in paths for file in self._found(path)]
        added = outcomes.count(True)
        self.stdout.write(f"{added} of {len(outcomes)} slides can be used.")
        if added == 0:
            raise CommandError("No slide was added.", returncode=FAILED)

    def _found(self, path: Path) -> list[Path]:
        """Slides at `path`; itself where it can't be looked into, so that adding it says why."""
        try:
            found = services.find_slides(path)
        except SlideError:
            return [path]
        if not found:
            self.stderr.write(f"none     {path}: no slides in this folder")
        return found

    def _add(self, path: Path, user: User, stated: dict[str, Any]) -> bool:
        try:
            slide = services.add_slide(path, user, **stated)
        except InvalidInput as error:
            self.stderr.write(f"failed   {path}: {error.message}")
            return False
        if slide.status == SlideStatus.FAILED:
            self.stderr.write(f"failed   {path}: slide {slide.pk}: {slide.error}")
            return False
        word = "present" if slide.pk in self._known else "added  "
        self._known.add(slide.pk)
        self.stdout.write(f"{word}  {path}: slide {slide.pk}, {describe(slide)}")
        return True


def describe(slide: Slide) -> str:
    """Stain, size and scale in a few words."""
    scale = f"{slide.mpp_x:g} µm/px" if slide.mpp_x else "µm/px missing, state it with --mpp"
    return f"{slide.get_stain_display()}, {slide.width} x {slide.height} px, {scale}"
