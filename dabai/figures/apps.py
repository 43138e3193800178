from django.apps import AppConfig


class FiguresConfig(AppConfig):
    name = "dabai.figures"
    label = "figures"
