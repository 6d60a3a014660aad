"""Jobs as the administrator sees them: to look at and to delete; services and jobs are the writers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from registration.models import Archive, PairAlignment, RegionOfInterest, Registration

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = admin.ModelAdmin

JOB_COLUMNS = ("id", "owner", "status", "attempt", "stage", "percent", "queued_at", "worker", "error")


class ReadOnlyAdmin(_Admin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(PairAlignment)
class PairAlignmentAdmin(ReadOnlyAdmin):
    list_display = ("pair", "version", "verdict", *JOB_COLUMNS)
    list_filter = ("status", "error_code", "verdict")
    list_select_related = ("owner", "pair")


@admin.register(Registration)
class RegistrationAdmin(ReadOnlyAdmin):
    list_display = ("region_id", "method", "verdict", "review", *JOB_COLUMNS)
    list_filter = ("status", "error_code", "method", "verdict", "review")
    list_select_related = ("owner",)


@admin.register(Archive)
class ArchiveAdmin(ReadOnlyAdmin):
    list_display = ("registration_id", "layout", "patch_size", "patches", *JOB_COLUMNS)
    list_filter = ("status", "error_code", "layout")
    list_select_related = ("owner",)


@admin.register(RegionOfInterest)
class RegionOfInterestAdmin(ReadOnlyAdmin):
    list_display = ("id", "pair", "owner", "frame", "x", "y", "width", "height", "name")
    list_select_related = ("owner", "pair")
