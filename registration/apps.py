from django.apps import AppConfig


class RegistrationConfig(AppConfig):
    name = "registration"

    def ready(self) -> None:
        from registration import signals  # noqa: F401  (subscribes to the viewer's signals)
