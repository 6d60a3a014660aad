"""Pages of slides, and the forms on them."""

from django.urls import path

from viewer import views

urlpatterns = [
    path("slides/", views.library, name="library"),
    path("slides/<int:pk>/", views.slide, name="slide"),
    path("slides/<int:pk>/scale/", views.state_scale, name="slide-scale"),
    path("pairs/new/", views.make_pair, name="pair-new"),
]
