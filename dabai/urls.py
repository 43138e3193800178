"""Where requests go."""

from django.urls import URLPattern, URLResolver, include, path

from dabai.api import appfiles
from dabai.api.app import api
from dabai.api.desk import routers as desk_routers
from dabai.api.devices import router as devices
from dabai.api.facts import router as facts
from dabai.api.field import router as field
from dabai.api.health import router as health
from dabai.api.lookup import router as lookup
from dabai.desk import trust

api.add_router("", health)
for _part in (facts, devices, field):
    api.add_router("", _part)
api.add_router("", lookup)

for _prefix, _router in desk_routers:
    api.add_router(_prefix, _router)

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", api.urls),
    *trust.urlpatterns,
    *appfiles.urlpatterns,
    path("", include("dabai.desk.urls")),
]

handler403 = "dabai.desk.shell.forbidden"
handler404 = "dabai.desk.shell.not_found"
handler500 = "dabai.desk.shell.broken"
