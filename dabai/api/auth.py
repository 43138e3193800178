"""Who is calling: a paired device by its token."""

from django.http import HttpRequest
from ninja.security import HttpBearer

from dabai.access.queries import authenticate_device
from dabai.journal.door import DeviceReporter


class DeviceAuth(HttpBearer):
    """``Authorization: Device <token>``. Only a token that never existed is turned away."""

    openapi_scheme = "device"

    def authenticate(self, request: HttpRequest, token: str) -> DeviceReporter | None:
        """The device as a reporter, None for a token that never was one."""
        context = authenticate_device(token)
        return DeviceReporter(context) if context else None


device_auth = DeviceAuth()


def check_address(request: HttpRequest) -> None:
    """Limit attempts that show no valid token."""
