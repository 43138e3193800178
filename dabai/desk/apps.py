from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "dabai.desk"
    label = "desk"
