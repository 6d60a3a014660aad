"""A new pair gets its first alignment; a row that is deleted, from wherever, takes its files along."""

from typing import Any

from django.db.models.signals import post_delete
from django.dispatch import receiver

from registration import services, storage
from registration.models import Archive, Job, Registration
from viewer.models import SlidePair
from viewer.signals import pair_created


@receiver(pair_created)
def align_new_pair(sender: Any, pair: SlidePair, **kwargs: Any) -> None:
    services.request_alignment(pair, pair.owner, reason="first alignment")


@receiver(post_delete, sender=Registration)
@receiver(post_delete, sender=Archive)
def remove_files(sender: Any, instance: Job, **kwargs: Any) -> None:
    storage.remove_all(instance)
