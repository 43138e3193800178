from django.apps import AppConfig


class JournalConfig(AppConfig):
    name = "dabai.journal"
    label = "journal"
