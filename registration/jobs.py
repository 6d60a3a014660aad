"""What RQ calls, with a primary key and an attempt; lifecycle.run has the states before and after."""

from __future__ import annotations

from registration import work
from registration.lifecycle import run
from registration.models import Archive, PairAlignment, Registration


def run_alignment(pk: int, attempt: int) -> None:
    """Aligns a pair's slides; releases the registrations that wait for it."""
    run(PairAlignment, pk, attempt, work.align)


def run_registration(pk: int, attempt: int) -> None:
    """Registers a region at level 0; on success asks for the archive if one is wanted."""
    run(Registration, pk, attempt, work.register_region)


def run_archive(pk: int, attempt: int) -> None:
    """Writes a registration's patch pairs into a zip."""
    run(Archive, pk, attempt, work.export_archive)
