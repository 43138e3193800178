from django.apps import AppConfig


class ApiConfig(AppConfig):
    """Has no models; being an app, it plugs the kinds of fact in as soon as Django is up."""

    name = "dabai.api"
    label = "api"

    def ready(self) -> None:
        import dabai.registry  # noqa: F401 - imported for what it plugs in
