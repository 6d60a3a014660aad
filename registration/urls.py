"""Pages of pairs, regions' registrations and jobs, and the forms on them."""

from django.urls import path

from registration import views

urlpatterns = [
    path("", views.home, name="home"),
    path("pairs/<int:pk>/", views.pair, name="pair"),
    path("registrations/<int:pk>/", views.registration, name="registration"),
    path("registrations/<int:pk>/review/", views.review, name="registration-review"),
    path("registrations/<int:pk>/archive/", views.archive, name="registration-archive"),
    path("jobs/", views.jobs, name="jobs"),
]
