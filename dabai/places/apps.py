from django.apps import AppConfig


class PlacesConfig(AppConfig):
    name = "dabai.places"
    label = "places"
