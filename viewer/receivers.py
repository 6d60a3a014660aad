"""A slide that is deleted, from wherever, takes its picture along."""

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.dispatch import receiver

from viewer.models import Slide


@receiver(post_delete, sender=Slide)
def remove_thumbnail(sender: Any, instance: Slide, **kwargs: Any) -> None:
    """Another user's slide of the same content gets its picture again when it is looked at."""
    from viewer.thumbnails import thumbnail_path  # here: not every process needs the image libraries

    path = thumbnail_path(instance.fingerprint)
    transaction.on_commit(partial(path.unlink, missing_ok=True), robust=True)
