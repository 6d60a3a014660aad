"""Makes the demo pair: two synthetic slides with a known transform."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.accounts import first_admin
from registration.engine.synthetic import write_phantom_pair
from viewer.models import Sections, Stain
from viewer.services import add_slide, make_pair


class Command(BaseCommand):
    help = "Makes a pair of synthetic slides (12,288 x 12,288 px) whose true transform is known."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        folder = settings.DATA_DIR / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        self.stdout.write("Demo pair: drawing two slides of 12,288 x 12,288 px ...")
        self.stdout.flush()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            phantom = write_phantom_pair(folder)
        except OSError as error:
            raise CommandError(f"The demo slides can't be written to {folder}: {error.strerror}.") from error
        owner = first_admin()
        he = add_slide(phantom.he, owner, stain=Stain.HE)
        ihc = add_slide(phantom.ihc, owner, stain=Stain.IHC)
        pair = make_pair(he, ihc, owner, sections=Sections.SAME, name="Demo: synthetic tissue")
        self.stdout.write(f"Demo pair: ready (pair {pair.pk}, files in {folder}).")
