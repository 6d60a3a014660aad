from django.apps import AppConfig


class ViewerConfig(AppConfig):
    name = "viewer"

    def ready(self) -> None:
        from viewer import receivers  # noqa: F401  (subscribes to the models' signals)
