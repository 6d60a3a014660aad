"""The three kinds of job with a real worker, Redis, engine, and slides whose transform is known."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django_rq.settings import QUEUES

from registration import services
from registration.bell import ring
from registration.engine.synthetic import Phantom
from registration.engine.transforms import load_transform
from registration.engine.transforms.sampled import split
from registration.models import Archive, Job, JobStatus, PairAlignment, Registration
from registration.scale import scale_of
from tests.processes import ManagedProcess, manage, start_redis, wait_until
from viewer.models import SlidePair
from viewer.services import add_slide, make_pair


@pytest.fixture
def phantom_rows(worker: ManagedProcess, user: User, phantom_pair: Phantom) -> SlidePair:
    """Made while a worker runs: its first alignment starts by itself."""
    return make_pair(add_slide(phantom_pair.he, user), add_slide(phantom_pair.ihc, user), user)


@pytest.fixture
def aligned_pair(
    transactional_db: None, redis_server: ManagedProcess, user: User, phantom_pair: Phantom
) -> Iterator[SlidePair]:
    """With its true affine on record as version 1; then a worker runs."""
    he, ihc = (add_slide(path, user) for path in (phantom_pair.he, phantom_pair.ihc))
    pair = SlidePair.objects.create(owner=user, fixed=he, moving=ihc)
    affine = split(phantom_pair.truth)[0].matrix.tolist()
    done: dict[str, Any] = {"status": JobStatus.SUCCEEDED, "verdict": "good", "affine": affine}
    PairAlignment.objects.create(pair=pair, owner=user, version=1, scale=scale_of(pair), **done)
    with manage("worker"):
        yield pair


def ended(job: Job) -> bool:
    job.refresh_from_db()
    return job.finished_at is not None


def test_from_a_new_pair_to_its_archive(
    phantom_rows: SlidePair, user: User, phantom_pair: Phantom, worker: ManagedProcess
) -> None:
    region = services.create_region(phantom_rows, user, frame="he", x=400, y=400, width=640, height=512)
    job = services.request_registration(region, user, export_options={"layout": "native", "patch_size": 128})
    wait_until(lambda: ended(job), "the registration")
    assert job.status == JobStatus.SUCCEEDED, (job.error, job.reasons)
    archive = job.archives.get()
    wait_until(lambda: ended(archive), "the archive")

    alignment = PairAlignment.objects.get()
    assert (alignment.version, alignment.status) == (1, JobStatus.SUCCEEDED), alignment.error
    assert np.array(alignment.affine).shape == (3, 3)
    assert "landmark_residual_px" not in alignment.metrics
    _is_kept_as_files(alignment, phantom_pair)
    assert (job.status, job.alignment) == (JobStatus.SUCCEEDED, alignment), job.error
    assert job.metrics["box"] == [400, 400, 640, 512]
    _agrees_with_the_truth(job, phantom_pair)
    assert archive.status == JobStatus.SUCCEEDED, archive.error
    file = Path(settings.DATA_DIR) / archive.file
    assert file.stat().st_size == archive.size_bytes
    with zipfile.ZipFile(file) as opened:
        assert archive.patches == len([name for name in opened.namelist() if name.startswith("he/")])
        assert json.loads(opened.read("run.json"))["roi"] == [400, 400, 640, 512]
    assert archive.patches + sum(archive.dropped.values()) == 20


def _agrees_with_the_truth(job: Registration, phantom: Phantom) -> None:
    transform = load_transform(Path(settings.DATA_DIR) / job.folder / "transform.json")
    points = np.array([(x, y) for x in (460, 700, 980) for y in (460, 650, 850)], dtype=np.float64)
    errors = np.linalg.norm(transform(points) - phantom.truth(points), axis=1)
    assert np.median(errors) < 1.5


def _is_kept_as_files(alignment: PairAlignment, phantom: Phantom) -> None:
    place = Path(settings.DATA_DIR) / alignment.folder
    assert place.parts[-3:] == ("alignments", str(alignment.pk), str(alignment.attempt))
    transform = load_transform(place / "transform.json")
    points = np.random.default_rng(4).uniform(400, 1000, (50, 2))
    assert np.median(np.linalg.norm(transform(points) - phantom.truth(points), axis=1)) < 8
    scale = list(phantom.truth.fixed.um_per_px or ())
    assert alignment.scale == {"he": scale, "ihc": list(phantom.truth.moving.um_per_px or ())}
    for stain, frame in (("he", phantom.truth.fixed), ("ihc", phantom.truth.moving)):
        largest = alignment.pieces[stain][0]
        assert 0.05 < largest["area"] / (frame.size.width * frame.size.height) < 1


def test_landmarks_of_a_version_are_what_it_is_judged_by(
    aligned_pair: SlidePair, user: User, phantom_pair: Phantom
) -> None:
    he = np.array([[350.0, 400.0], [1050.0, 480.0], [750.0, 1050.0], [700.0, 700.0]])
    rows = zip(he.tolist(), phantom_pair.truth(he).tolist(), strict=True)
    said = {"landmarks": [{"he": a, "ihc": b} for a, b in rows], "exclude_he": [[[0, 0], [90, 0], [0, 90]]]}
    job = services.request_alignment(aligned_pair, user, reason="by hand", said=said)
    wait_until(lambda: ended(job), "the second alignment")
    assert job.status == JobStatus.SUCCEEDED, (job.error, job.reasons)
    assert (job.version, len(job.landmarks), len(job.exclude_he)) == (2, 4, 1)
    stated = job.metrics["landmark_residual_px"]
    assert len(stated) == 4
    assert max(stated) < 16  # true landmarks, a rough alignment
    transform = load_transform(Path(settings.DATA_DIR) / job.folder / "transform.json")
    ends = phantom_pair.truth(he)
    assert stated == pytest.approx(np.linalg.norm(transform(he) - ends, axis=1).tolist(), abs=0.02)
    folder = Path(settings.DATA_DIR) / job.folder
    job.delete()
    assert not folder.exists()


def test_the_patch_grid_may_lie_on_the_other_slide(
    aligned_pair: SlidePair, user: User, phantom_pair: Phantom
) -> None:
    region = services.create_region(aligned_pair, user, frame="he", x=400, y=400, width=512, height=512)
    job = services.request_registration(region, user, grid="ihc")
    wait_until(lambda: ended(job), "the registration")
    assert job.status == JobStatus.SUCCEEDED, job.error
    transform = load_transform(Path(settings.DATA_DIR) / job.folder / "transform.json")
    centre = phantom_pair.truth(np.array([[656.0, 656.0]]))
    assert np.linalg.norm(transform(centre) - (656.0, 656.0)) < 3
    x, y, width, height = job.metrics["box"]
    assert np.abs(np.array([x + width / 2, y + height / 2]) - centre[0]).max() < 16


def test_a_worker_that_is_asked_to_stop_gives_its_job_back(
    transactional_db: None, redis_server: ManagedProcess, user: User, phantom_pair: Phantom
) -> None:
    make_pair(add_slide(phantom_pair.he, user), add_slide(phantom_pair.ihc, user), user)
    job = PairAlignment.objects.get()

    with manage("worker") as first:
        wait_until(lambda: has_status(job, JobStatus.RUNNING), "the alignment to start")
        first.popen.terminate()
        first.popen.wait(30)
    job.refresh_from_db()
    assert (job.status, job.attempt, job.failures) == (JobStatus.QUEUED, 2, 0)
    with manage("worker"):
        wait_until(lambda: ended(job), "the alignment")
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2), job.error


def test_a_redis_that_is_away_does_not_end_the_job_that_runs(
    transactional_db: None, tmp_path: Path, user: User, phantom_pair: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job sleeps until the worker has noticed; RQ looks at Redis every five seconds."""
    with tempfile.TemporaryDirectory() as short:
        url = f"unix://{short}/redis.sock"
        for queue in QUEUES.values():
            monkeypatch.setitem(queue, "URL", url)
        with manage("worker", REDIS_URL=url) as process:
            with start_redis(url, tmp_path) as server:
                process.wait_for_output("waits for jobs")
                make_pair(add_slide(phantom_pair.he, user), add_slide(phantom_pair.ihc, user), user)
                job = PairAlignment.objects.get()
                wait_until(lambda: has_status(job, JobStatus.RUNNING), "the alignment to start")
                os.kill(process_of(job), signal.SIGSTOP)
                server.kill()
            process.wait_for_output("can't tell Redis that it lives")
            with start_redis(url, tmp_path):
                os.kill(process_of(job), signal.SIGCONT)
                wait_until(lambda: ended(job), "the alignment")
    assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 1), job.error


def has_status(job: Job, status: JobStatus) -> bool:
    job.refresh_from_db()
    return job.status == status


def process_of(job: Job) -> int:
    return int(job.worker.rsplit(":", 1)[1])


def test_a_slide_that_is_gone_fails_with_its_reason(
    worker: ManagedProcess, user: User, phantom_pair: Phantom, tmp_path: Path
) -> None:
    copy = tmp_path / "he.tiff"
    copy.write_bytes(phantom_pair.he.read_bytes())
    he, ihc = add_slide(copy, user), add_slide(phantom_pair.ihc, user)
    copy.unlink()
    job = services.request_alignment(SlidePair.objects.create(owner=user, fixed=he, moving=ihc), user)
    wait_until(lambda: ended(job), "the alignment")
    assert job.status == JobStatus.FAILED
    assert job.error_code == "not_found"
    assert "he.tiff" in job.error
    assert "Traceback" not in worker.text()


def test_a_patch_larger_than_the_region_fails_clearly_and_leaves_nothing(
    aligned_pair: SlidePair, user: User
) -> None:
    """The registration was asked for with patches that only turn out too large on the clipped box."""
    region = services.create_region(aligned_pair, user, frame="he", x=400, y=400, width=300, height=300)
    job = services.request_registration(region, user)
    wait_until(lambda: ended(job), "the registration")
    archive = Archive.objects.create(registration=job, owner=user, patch_size=512)
    services.request_archive(job, user, patch_size=128)
    ring(archive)
    wait_until(lambda: ended(archive), "the archive")
    assert (archive.status, archive.error_code) == (JobStatus.FAILED, "patch_larger_than_region")
    assert not (Path(settings.DATA_DIR) / "archives" / str(archive.pk) / "1").exists()
