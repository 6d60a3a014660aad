"""REST routes of alignments, regions, registrations and archives."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from registration import services
from registration.align_serializer import AlignSerializer
from registration.alignment_serializers import (
    AlignmentSerializer,
    NewAlignmentSerializer,
    PiecesSerializer,
)
from registration.engine.config import METHODS
from registration.models import Archive, Job, PairAlignment, RegionOfInterest, Registration
from registration.one_call import align, register
from registration.serializers import (
    ArchiveSerializer,
    MethodSerializer,
    MoveRegionSerializer,
    NewArchiveSerializer,
    NewRegionSerializer,
    NewRegistrationSerializer,
    PairQuerySerializer,
    RegionSerializer,
    RegistrationSerializer,
    ReviewSerializer,
)
from viewer.api import user_of
from viewer.models import SlidePair

J = TypeVar("J", bound=Job)
M = TypeVar("M", bound=Model)


def _asked(serializer: type[serializers.BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, validated; ids in it are of rows the caller may see."""
    bound = serializer(data=request.data, context={"request": request})
    bound.is_valid(raise_exception=True)
    return dict(bound.validated_data)


class OfPairViewSet(mixins.ListModelMixin, viewsets.GenericViewSet[M]):
    """A list that `?pair=` narrows; `pair_path` is the way from the row to its pair."""

    pair_path = "pair"

    def filter_queryset(self, queryset: QuerySet[M, Any]) -> QuerySet[M, Any]:
        if self.action != "list":
            return queryset
        query = PairQuerySerializer(data=self.request.query_params)
        query.is_valid(raise_exception=True)
        pair = query.validated_data.get("pair")
        return queryset if pair is None else queryset.filter(**{self.pair_path: pair})

    @extend_schema(parameters=[PairQuerySerializer])
    def list(self, request: Request) -> Response:
        return super().list(request)


class JobViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet[J]):
    lookup_value_converter = "int"

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: int) -> Response:
        """Stop it: at once while it waits, at its next report of progress while it runs."""
        services.cancel(self.get_object())
        return Response(self.get_serializer(self.get_object()).data)

    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: int) -> Response:
        """Do a failed, cancelled or refused job again, as a new one; the old one stays as it is."""
        job = services.retry(self.get_object(), user_of(request))
        return Response(self.get_serializer(job).data, status=202)


class PairAlignmentsView(generics.ListAPIView[PairAlignment]):
    queryset = PairAlignment.objects.all()
    serializer_class = AlignmentSerializer

    def get_queryset(self) -> QuerySet[PairAlignment]:
        visible = PairAlignment.objects.visible_to(self.request.user)
        return visible.filter(pair=self._pair()).select_related("owner", "requested_by", "pair")

    def _pair(self) -> SlidePair:
        return get_object_or_404(SlidePair.objects.visible_to(self.request.user), pk=self.kwargs["pk"])

    @extend_schema(
        operation_id="pair_alignments_create",
        request=NewAlignmentSerializer,
        responses={202: AlignmentSerializer},
    )
    def post(self, request: Request, pk: int) -> Response:
        """Align the two slides anew, as the next version, with landmarks and without excluded regions."""
        pair = self._pair()
        said = _asked(NewAlignmentSerializer, request)
        reason = said.pop("reason")
        alignment = services.request_alignment(pair, user_of(request), reason=reason, said=said)
        return Response(self.get_serializer(alignment).data, status=202)


class PairPiecesView(APIView):
    @extend_schema(operation_id="pair_pieces", responses=PiecesSerializer)
    def get(self, request: Request, pk: int) -> Response:
        """The pieces of tissue on both slides, the largest first, as the newest alignment saw them."""
        pair = get_object_or_404(SlidePair.objects.visible_to(request.user), pk=pk)
        return Response(services.pieces_of(pair))


class AlignmentViewSet(JobViewSet[PairAlignment]):
    queryset = PairAlignment.objects.all()
    serializer_class = AlignmentSerializer

    def get_queryset(self) -> QuerySet[PairAlignment]:
        rows = PairAlignment.objects.visible_to(self.request.user)
        return rows.select_related("owner", "requested_by", "pair")


class RegionViewSet(mixins.RetrieveModelMixin, OfPairViewSet[RegionOfInterest]):
    queryset = RegionOfInterest.objects.all()
    serializer_class = RegionSerializer
    lookup_value_converter = "int"

    def get_queryset(self) -> QuerySet[RegionOfInterest]:
        return RegionOfInterest.objects.visible_to(self.request.user)

    @extend_schema(request=NewRegionSerializer, responses={201: RegionSerializer})
    def create(self, request: Request) -> Response:
        """Draw a box on one of the pair's slides."""
        box = _asked(NewRegionSerializer, request)
        region = services.create_region(box.pop("pair"), user_of(request), **box)
        return Response(self.get_serializer(region).data, status=201)

    @extend_schema(request=MoveRegionSerializer)
    def partial_update(self, request: Request, pk: int) -> Response:
        """Rename it; move or resize it, as long as nothing was registered for it."""
        region = self.get_object()
        asked = _asked(MoveRegionSerializer, request)
        name = asked.pop("name", None)
        box = {side: getattr(region, side) for side in ("x", "y", "width", "height")}
        if box | asked != box:
            region = services.move_region(region, **box | asked)
        if name is not None:
            region = services.rename_region(region, name)
        return Response(self.get_serializer(region).data)

    def destroy(self, request: Request, pk: int) -> Response:
        """Delete it with its registrations and archives."""
        services.delete_region(self.get_object())
        return Response(status=204)


class RegistrationViewSet(JobViewSet[Registration], OfPairViewSet[Registration]):
    queryset = Registration.objects.all()
    serializer_class = RegistrationSerializer
    pair_path = "region__pair"

    def get_queryset(self) -> QuerySet[Registration]:
        rows = Registration.objects.visible_to(self.request.user)
        return rows.select_related("owner", "region", "reviewed_by").prefetch_related("archives__owner")

    @extend_schema(request=NewRegistrationSerializer, responses={202: RegistrationSerializer})
    def create(self, request: Request) -> Response:
        """Register a region at level 0 in the background; the same request gives the same registration."""
        registration = register(user_of(request), _asked(NewRegistrationSerializer, request))
        return Response(self.get_serializer(registration).data, status=202)

    @extend_schema(request=ReviewSerializer)
    @action(detail=True, methods=["post"])
    def review(self, request: Request, pk: int) -> Response:
        """Accept or reject what was seen."""
        registration, asked = self.get_object(), _asked(ReviewSerializer, request)
        services.review(registration, user_of(request), asked["decision"], note=asked["note"])
        return Response(self.get_serializer(registration).data)


class ArchiveViewSet(JobViewSet[Archive], OfPairViewSet[Archive]):
    queryset = Archive.objects.all()
    serializer_class = ArchiveSerializer
    pair_path = "registration__region__pair"

    def get_queryset(self) -> QuerySet[Archive]:
        return Archive.objects.visible_to(self.request.user).select_related("owner")

    @extend_schema(request=NewArchiveSerializer, responses={202: ArchiveSerializer})
    def create(self, request: Request) -> Response:
        """Export a finished registration as patch pairs in a zip."""
        asked = _asked(NewArchiveSerializer, request)
        archive = services.request_archive(asked.pop("registration"), user_of(request), **asked)
        return Response(self.get_serializer(archive).data, status=202)


class AlignView(APIView):
    @extend_schema(operation_id="align", request=AlignSerializer, responses={202: RegistrationSerializer})
    def post(self, request: Request) -> Response:
        """Two slides and a box in, a registration with its archive out: everything in one call."""
        registration = align(user_of(request), _asked(AlignSerializer, request))
        return Response(RegistrationSerializer(registration, context={"request": request}).data, status=202)


class MethodsView(APIView):
    @extend_schema(operation_id="methods_list", responses=MethodSerializer(many=True))
    def get(self, request: Request) -> Response:
        """The registration methods; the first is the default."""
        return Response([{"name": name, "description": text} for name, text in METHODS.items()])
