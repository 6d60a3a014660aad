"""REST routes of slides and pairs."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from viewer import services
from viewer.intake import add_readable_slide
from viewer.models import Slide, SlidePair
from viewer.serializers import (
    AddSlideSerializer,
    EditPairSerializer,
    EditSlideSerializer,
    MakePairSerializer,
    PairSerializer,
    SlideSerializer,
)


def user_of(request: Request) -> User:
    """The caller; the API's permissions have turned away everybody who is not logged in."""
    return cast("User", request.user)


class SlideViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Slide]):
    queryset = Slide.objects.all()
    serializer_class = SlideSerializer
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[Slide]:
        return Slide.objects.visible_to(self.request.user).select_related("owner")

    @extend_schema(request=AddSlideSerializer, responses={201: SlideSerializer})
    def create(self, request: Request) -> Response:
        """Add a slide by its path on the server; the same file again gives the same slide."""
        asked = AddSlideSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = dict(asked.validated_data)
        slide = add_readable_slide(facts.pop("path"), user_of(request), **facts)
        return Response(self.get_serializer(slide).data, status=201)

    @extend_schema(request=EditSlideSerializer, responses=SlideSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """State what the file doesn't: µm/px, stain, a pseudonymous patient."""
        slide = self.get_object()
        asked = EditSlideSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        facts = dict(asked.validated_data)
        if "mpp_x" in facts:
            services.state_mpp(slide, facts.pop("mpp_x"), facts.pop("mpp_y"))
        Slide.objects.filter(pk=slide.pk).update(**facts)
        slide.refresh_from_db()
        return Response(self.get_serializer(slide).data)


class PairViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[SlidePair]):
    queryset = SlidePair.objects.all()
    serializer_class = PairSerializer
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[SlidePair]:
        return SlidePair.objects.visible_to(self.request.user).select_related("owner")

    @extend_schema(request=MakePairSerializer, responses={201: PairSerializer})
    def create(self, request: Request) -> Response:
        """Pair two slides; aligning them starts at once."""
        asked = MakePairSerializer(data=request.data, context=self.get_serializer_context())
        asked.is_valid(raise_exception=True)
        facts = dict(asked.validated_data)
        pair = services.make_pair(
            facts["fixed"], facts["moving"], request.user, facts["sections"], facts["name"]
        )
        return Response(self.get_serializer(pair).data, status=201)

    @extend_schema(request=EditPairSerializer, responses=PairSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Rename it, or state how its sections were made."""
        pair = self.get_object()
        asked = EditPairSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.edit_pair(pair, **asked.validated_data)
        return Response(self.get_serializer(pair).data)
