from django.apps import AppConfig


class KernelConfig(AppConfig):
    """Has no models; being an app makes its template tags known."""

    name = "dabai.kernel"
    label = "kernel"
