"""The web application with one endpoint more, ``POST /api/v1/empty``, which does nothing: what to compare with."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dabai.settings")
django.setup()

from django.http import HttpRequest, HttpResponse  # noqa: E402
from ninja import Router  # noqa: E402

from dabai.api.app import api  # noqa: E402

router = Router()


@router.post("/empty", auth=None)
def empty(request: HttpRequest) -> HttpResponse:
    """Nothing."""
    return HttpResponse(b"{}", content_type="application/json")


api.add_router("", router)

import dabai.wsgi  # noqa: E402

dabai.wsgi.DEVICE_PATHS = (*dabai.wsgi.DEVICE_PATHS, "/api/v1/empty")
application = dabai.wsgi.application
