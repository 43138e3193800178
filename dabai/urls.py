"""Where requests go."""

from django.urls import URLPattern, URLResolver, path

from dabai.api.app import api
from dabai.api.facts import router as facts
from dabai.api.health import router as health
from dabai.desk import trust

api.add_router("", health)
api.add_router("", facts)

urlpatterns: list[URLPattern | URLResolver] = [path("api/v1/", api.urls), *trust.urlpatterns]
