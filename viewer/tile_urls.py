"""Addresses of deep-zoom descriptors, tiles and thumbnails; included at the root."""

from django.urls import URLPattern, path

from viewer import tiles


def _deep_zoom(image_format: str) -> list[URLPattern]:
    fixed = {"image_format": image_format}
    base = f"slides/<int:pk>/{image_format}"
    address = f"{base}_files/<int:level>/<int:column>_<int:row>.{image_format}"
    return [
        path(f"{base}.dzi", tiles.descriptor, fixed, name=f"slide-{image_format}-dzi"),
        path(address, tiles.tile, fixed, name=f"slide-{image_format}-tile"),
    ]


urlpatterns = [
    *_deep_zoom("jpeg"),
    *_deep_zoom("png"),
    path("slides/<int:pk>/thumbnail.jpg", tiles.thumbnail, name="slide-thumbnail"),
]
