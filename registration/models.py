"""Alignments, regions, registrations and archives: three kinds of job and what they are about."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from viewer.models import Owned, OwnedQuerySet, SlidePair


class JobStatus(models.TextChoices):
    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    SUCCEEDED = "succeeded", "succeeded"
    REFUSED = "refused", "refused"  # it ran to its end, and the answer is: not to be trusted
    FAILED = "failed", "failed"
    CANCELLED = "cancelled", "cancelled"


LIVE = (JobStatus.QUEUED, JobStatus.RUNNING)


class Verdict(models.TextChoices):
    NONE = "", "no verdict"
    GOOD = "good", "good"
    CHECK = "check", "check"
    REFUSED = "refused", "refused"


class Frame(models.TextChoices):
    """A slide of a pair, by its stain: the slide whose level-0 px are meant."""

    HE = "he", "H&E"
    IHC = "ihc", "IHC"


class Job(Owned):
    """A piece of background work. The row is the truth; Redis only rings the bell."""

    status = models.CharField(max_length=10, choices=JobStatus.choices, default=JobStatus.QUEUED)
    attempt = models.PositiveSmallIntegerField(default=1)
    failures = models.PositiveSmallIntegerField(default=0)  # attempts that broke; not those given back
    stage = models.CharField(max_length=40, blank=True)
    percent = models.PositiveSmallIntegerField(default=0)
    cancel_requested = models.BooleanField(default=False)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.TextField(blank=True, help_text="For the user: what went wrong and what to do next.")
    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    worker = models.CharField(max_length=100, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )

    class Meta(Owned.Meta):
        abstract = True


class PairAlignment(Job):
    """The slide-level transform of a pair; a new one is a new version, never a change.

    Points and polygons are level-0 px of the slide they are named after, corner-based.
    """

    pair = models.ForeignKey(SlidePair, on_delete=models.CASCADE, related_name="alignments")
    version = models.PositiveIntegerField()
    reason = models.CharField(max_length=255, blank=True)
    verdict = models.CharField(max_length=8, choices=Verdict.choices, blank=True)
    reasons = models.JSONField(default=list)  # [{"code", "message"}]
    affine = models.JSONField(null=True)  # 3 x 3, moving_from_fixed: the transform without its field
    metrics = models.JSONField(default=dict)
    folder = models.CharField(max_length=255, blank=True)  # transform.json, field.npz; relative to DATA_DIR
    landmarks = models.JSONField(default=list)  # [{"he": [x, y], "ihc": [x, y], "weight"}]
    exclude_he = models.JSONField(default=list)  # polygons that were left out: [[[x, y], ...]]
    exclude_ihc = models.JSONField(default=list)
    section = models.JSONField(null=True)  # {"kind", "share", "message"}: what the evidence says
    scale = models.JSONField(default=dict)  # {"he", "ihc"}: um/px [x, y] or null that it was made with
    pieces = models.JSONField(default=dict)  # {"he", "ihc"}: [{"number", "box", "outline", "area"}]

    objects = OwnedQuerySet["PairAlignment"].as_manager()

    class Meta(Job.Meta):
        constraints = [
            models.UniqueConstraint(fields=["pair", "version"], name="alignment_version_once"),
            models.UniqueConstraint(
                fields=["pair"],
                condition=Q(status__in=["queued", "running"]),
                name="alignment_once_while_live",
            ),
        ]


class RegionOfInterest(Owned):
    """A box a user drew: ints, level-0 px of the slide named by `frame`, half-open."""

    pair = models.ForeignKey(SlidePair, on_delete=models.CASCADE, related_name="regions")
    name = models.CharField(max_length=255, blank=True)
    frame = models.CharField(max_length=4, choices=Frame.choices, default=Frame.HE)
    x = models.IntegerField()
    y = models.IntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()

    objects = OwnedQuerySet["RegionOfInterest"].as_manager()


class Review(models.TextChoices):
    NONE = "", "not reviewed"
    ACCEPTED = "accepted", "accepted"
    REJECTED = "rejected", "rejected"


class Registration(Job):
    """One region registered at level 0 with one method on one version of the alignment."""

    region = models.ForeignKey(RegionOfInterest, on_delete=models.CASCADE, related_name="registrations")
    alignment = models.ForeignKey(PairAlignment, on_delete=models.RESTRICT, related_name="registrations")
    method = models.CharField(max_length=40)
    grid = models.CharField(max_length=4, choices=Frame.choices, default=Frame.HE)  # carries the patch grid
    config_hash = models.CharField(max_length=64)
    engine_version = models.CharField(max_length=20)
    export_options = models.JSONField(null=True)  # [{layout, patch_size}]: what is exported on success
    verdict = models.CharField(max_length=8, choices=Verdict.choices, blank=True)
    reasons = models.JSONField(default=list)
    metrics = models.JSONField(default=dict)  # errors, seconds per stage, box in the grid's frame
    folder = models.CharField(max_length=255, blank=True)  # artefacts, relative to DATA_DIR
    review = models.CharField(max_length=8, choices=Review.choices, blank=True)
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+"
    )
    reviewed_at = models.DateTimeField(null=True)
    review_note = models.TextField(blank=True)

    objects = OwnedQuerySet["Registration"].as_manager()

    class Meta(Job.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["region", "alignment", "grid", "config_hash", "engine_version"],
                condition=Q(status__in=["queued", "running", "succeeded"]),
                name="registration_once_while_live_or_done",
            ),
        ]


class Layout(models.TextChoices):
    NATIVE = "native", "native"
    ROIALIGN = "roialign", "ROIAlign"


class Archive(Job):
    """A downloadable zip of aligned patch pairs."""

    registration = models.ForeignKey(Registration, on_delete=models.CASCADE, related_name="archives")
    layout = models.CharField(max_length=8, choices=Layout.choices, default=Layout.NATIVE)
    patch_size = models.PositiveIntegerField(default=256)
    override_note = models.TextField(blank=True)  # why a refused registration is exported all the same
    file = models.CharField(max_length=255, blank=True)  # relative to DATA_DIR
    size_bytes = models.BigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    patches = models.PositiveIntegerField(null=True)
    dropped = models.JSONField(default=dict)  # reason -> count
    verdicts = models.JSONField(default=dict)  # verdict -> count of the patches written

    objects = OwnedQuerySet["Archive"].as_manager()

    class Meta(Job.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["registration", "layout", "patch_size"],
                condition=Q(status__in=["queued", "running", "succeeded"]),
                name="archive_once_while_live_or_done",
            ),
        ]
