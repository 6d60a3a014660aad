"""A new pair is aligned, a rescaled one again; a deleted row, from wherever, takes its files along."""

from typing import Any

from django.db.models import Q
from django.db.models.signals import post_delete
from django.dispatch import receiver

from registration import services, storage
from registration.models import Archive, Job, PairAlignment, Registration
from viewer.models import Slide, SlidePair
from viewer.signals import pair_created, slide_rescaled


@receiver(pair_created)
def align_new_pair(sender: Any, pair: SlidePair, **kwargs: Any) -> None:
    services.request_alignment(pair, pair.owner, reason="first alignment")


@receiver(slide_rescaled)
def align_rescaled_pairs(sender: Any, slide: Slide, **kwargs: Any) -> None:
    for pair in SlidePair.objects.filter(Q(fixed=slide) | Q(moving=slide)):
        alignment = services.current_alignment(pair)
        if alignment is not None:
            services.align_if_outdated(alignment)


@receiver(post_delete, sender=PairAlignment)
@receiver(post_delete, sender=Registration)
@receiver(post_delete, sender=Archive)
def remove_files(sender: Any, instance: Job, **kwargs: Any) -> None:
    storage.remove_all(instance)
