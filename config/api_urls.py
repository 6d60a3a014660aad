"""Routes of the REST API, under /api/."""

from django.urls import path
from drf_spectacular.views import SpectacularJSONAPIView
from rest_framework.routers import SimpleRouter

from config.api_views import DocsView, TokenView
from registration import api as registration
from registration.files_api import RegistrationFileView
from viewer import api as viewer

router = SimpleRouter(use_regex_path=False)
router.register("slides", viewer.SlideViewSet, "slide-api")
router.register("pairs", viewer.PairViewSet, "pair-api")
router.register("alignments", registration.AlignmentViewSet, "alignment-api")
router.register("regions", registration.RegionViewSet, "region-api")
router.register("registrations", registration.RegistrationViewSet, "registration-api")
router.register("archives", registration.ArchiveViewSet, "archive-api")

urlpatterns = [
    path("pairs/<int:pk>/alignments/", registration.PairAlignmentsView.as_view(), name="pair-alignments"),
    path("pairs/<int:pk>/pieces/", registration.PairPiecesView.as_view(), name="pair-pieces"),
    path("registrations/<int:pk>/files/<str:name>", RegistrationFileView.as_view(), name="registration-file"),
    path("align/", registration.AlignView.as_view(), name="align-api"),
    path("methods/", registration.MethodsView.as_view(), name="methods-api"),
    path("token/", TokenView.as_view(), name="token-api"),
    path("schema/", SpectacularJSONAPIView.as_view(), name="schema-api"),
    path("docs/", DocsView.as_view(), name="docs-api"),
    *router.urls,
]
