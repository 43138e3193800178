from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "dabai.access"
    label = "access"
