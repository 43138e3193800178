"""``/trust/`` in the desk: how a phone learns to trust the local authority (``kernel.trust`` has the page itself)."""

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path

from dabai.access.guard import public
from dabai.kernel.trust import CERTIFICATE_TYPE, DISPOSITION, certificate_bytes, language_of, trust_page


@public
def page(request: HttpRequest) -> HttpResponse:
    """Open to everybody, as what it shows is public."""
    lang = language_of(request.META.get("QUERY_STRING", ""), request.headers.get("Accept-Language", ""))
    return HttpResponse(trust_page(lang))


@public
def certificate(_: HttpRequest) -> HttpResponse:
    """The authority's certificate to install."""
    body = certificate_bytes()
    if body is None:
        raise Http404
    return HttpResponse(body, content_type=CERTIFICATE_TYPE, headers={"Content-Disposition": DISPOSITION})


urlpatterns = [path("trust/", page, name="trust"), path("trust/ca.crt", certificate, name="trust-certificate")]
