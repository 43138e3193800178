from django.apps import AppConfig


class ProtocolsConfig(AppConfig):
    name = "dabai.protocols"
    label = "protocols"
