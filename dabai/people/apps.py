from django.apps import AppConfig


class PeopleConfig(AppConfig):
    name = "dabai.people"
    label = "people"
