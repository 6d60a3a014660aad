"""Slides and pairs of slides."""

from __future__ import annotations

from typing import Any, TypeVar

from django.conf import settings
from django.db import models

M = TypeVar("M", bound=models.Model)


class Stain(models.TextChoices):
    HE = "he", "H&E"
    IHC = "ihc", "IHC"
    OTHER = "other", "other"
    UNKNOWN = "unknown", "unknown"


class SlideStatus(models.TextChoices):
    READY = "ready", "ready"
    NEEDS_MPP = "needs_mpp", "µm/px missing"
    FAILED = "failed", "failed"


class Sections(models.TextChoices):
    """How the two sections of a pair were made: it decides which accuracy is possible."""

    UNKNOWN = "unknown", "not stated"
    SAME = "same", "same section, stained again"
    CONSECUTIVE = "consecutive", "consecutive sections"


class OwnedQuerySet(models.QuerySet[M]):
    """The one place that decides who sees what; every route starts from it."""

    def visible_to(self, user: Any) -> OwnedQuerySet[M]:
        """Rows `user` may see: an administrator all, a user their own, nobody else any."""
        if not (user.is_authenticated and user.is_active):
            return self.none()
        return self.all() if user.is_staff else self.filter(owner=user)


class Owned(models.Model):
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["-pk"]


class Slide(Owned):
    """One whole-slide image, known by what is in the file and not by its path."""

    path = models.TextField()
    name = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    stain = models.CharField(max_length=8, choices=Stain.choices, default=Stain.UNKNOWN)
    patient = models.CharField(max_length=64, null=True, blank=True, help_text="A pseudonym, never a name.")
    status = models.CharField(max_length=10, choices=SlideStatus.choices)
    error = models.TextField(blank=True, help_text="Why the slide can't be read, and what to do.")
    vendor = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)
    mpp_x = models.FloatField("µm/px, x", null=True, blank=True)
    mpp_y = models.FloatField("µm/px, y", null=True, blank=True)
    mpp_stated = models.BooleanField("µm/px entered by hand", default=False)
    size_bytes = models.BigIntegerField(default=0)

    objects = OwnedQuerySet["Slide"].as_manager()

    class Meta(Owned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["owner", "fingerprint"], name="slide_once_per_owner"),
        ]

    def __str__(self) -> str:
        return self.name


class SlidePair(Owned):
    """Two stains of the same tissue; H&E is the fixed image and IHC the moving one."""

    name = models.CharField(max_length=255)
    fixed = models.ForeignKey(Slide, on_delete=models.PROTECT, related_name="pairs_as_fixed")
    moving = models.ForeignKey(Slide, on_delete=models.PROTECT, related_name="pairs_as_moving")
    sections = models.CharField(max_length=12, choices=Sections.choices, default=Sections.UNKNOWN)

    objects = OwnedQuerySet["SlidePair"].as_manager()

    class Meta(Owned.Meta):
        constraints = [
            models.UniqueConstraint(fields=["owner", "fixed", "moving"], name="pair_once_per_owner"),
            models.CheckConstraint(condition=~models.Q(fixed=models.F("moving")), name="pair_of_two_slides"),
        ]

    def __str__(self) -> str:
        return self.name
