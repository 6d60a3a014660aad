"""Every route of SlidePair; the one place where both apps meet."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import include, path

from config.accounts import Login, login_once
from config.health import health
from registration.files_api import ArchiveDownloadView

handler404 = "config.api_errors.not_found"
handler500 = "config.api_errors.server_error"

urlpatterns = [
    path("health/", health, name="health"),
    path("login/", Login.as_view(), name="login"),
    path("login/once/<str:token>/", login_once, name="login-once"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("api/", include("config.api_urls")),
    path("archives/<int:pk>/download", ArchiveDownloadView.as_view(), name="archive-download"),
    path("", include("viewer.tile_urls")),
    path("", include("viewer.urls")),
    path("", include("registration.urls")),
]
