"""The WSGI application that the web processes serve.

A phone has no session, no cookie and no page. What it sends goes through the part of the middleware that concerns it,
which saves a fifth of what a request costs beside its facts.
"""

import os
from typing import Any

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dabai.settings")

DEVICE_PATHS = tuple(f"/api/v1/{name}" for name in ("facts", "changes", "reference", "lookup", "slice", "due", "forms"))
DEVICE_FOLDERS = ("/api/v1/devices/", "/field/")


class DeviceHandler(WSGIHandler):
    """Django with the middleware for phones."""

    def load_middleware(self, is_async: bool = False) -> None:
        """The chain of ``DEVICE_MIDDLEWARE`` instead of the whole one."""
        whole, settings.MIDDLEWARE = settings.MIDDLEWARE, settings.DEVICE_MIDDLEWARE
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = whole


everybody = get_wsgi_application()
devices = DeviceHandler()


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Answer a request."""
    where = environ["PATH_INFO"]
    handler = devices if where in DEVICE_PATHS or where.startswith(DEVICE_FOLDERS) else everybody
    return handler(environ, start_response)
