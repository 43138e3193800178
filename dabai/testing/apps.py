from django.apps import AppConfig


class TestingConfig(AppConfig):
    name = "dabai.testing"
    label = "testing"
