"""A small site to test guards and log-in on."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from ninja import NinjaAPI

from dabai.access.guard import access_of, device_auth, needs, pair_from, posting_device_auth, public, signed_in
from dabai.access.login import confirm_second_factor, sign_in
from dabai.access.rules import Permission
from dabai.kernel.refusal import Refusal


@public
def visit(request: HttpRequest) -> HttpResponse:
    request.session["been"] = "here"
    return HttpResponse("ok")


@public
def sign_in_page(request: HttpRequest) -> HttpResponse:
    sign_in(request, request.POST["username"], request.POST["password"])
    return HttpResponse("ok")


@signed_in
def digits(request: HttpRequest) -> HttpResponse:
    try:
        confirm_second_factor(request, request.POST["digits"])
    except Refusal as refusal:
        return HttpResponse(refusal.code)
    return HttpResponse("ok")


@signed_in
def me(request: HttpRequest) -> HttpResponse:
    return HttpResponse(access_of(request).user.username)


@signed_in
def choose(request: HttpRequest, chosen: int) -> HttpResponse:
    request.session["operation"] = chosen
    return HttpResponse("ok")


@needs(Permission.SEE_FIGURES)
def figures(request: HttpRequest, **_: object) -> JsonResponse:
    access = access_of(request)
    return JsonResponse({"operation": access.operation_id, "areas": access.areas()})


@needs(Permission.SEE_PEOPLE_MASKED, Permission.SEE_TUBES)
def thing(request: HttpRequest, operation: int, where: str) -> HttpResponse:
    access_of(request).check(where)
    return HttpResponse("found")


def forgotten(request: HttpRequest) -> HttpResponse:
    return HttpResponse("open to everybody")


api = NinjaAPI(title="test", urls_namespace="access-test", docs_url=None)


@api.exception_handler(Refusal)
def refused(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return HttpResponse(refusal.code, status=429 if refusal.code.endswith("too_many") else 403)


@api.get("/changes", auth=device_auth)
def changes(request: HttpRequest) -> str:
    return str(request.auth.id)  # type: ignore[attr-defined]


@api.post("/facts", auth=posting_device_auth)
def facts(request: HttpRequest) -> str:
    return str(request.auth.id)  # type: ignore[attr-defined]


@api.post("/pair", auth=None)
@public
def pair(request: HttpRequest, code: str) -> str:
    return str(pair_from(request, code=code, name="", app="")[0].pk)


@api.get("/health", auth=None)
@public
def health(request: HttpRequest) -> str:
    return "ok"


@api.get("/leak", auth=None)
def leak(request: HttpRequest) -> str:
    return "oh"


urlpatterns = [
    path("visit/", visit),
    path("sign-in/", sign_in_page),
    path("digits/", digits),
    path("me/", me),
    path("choose/<int:chosen>/", choose),
    path("figures/", figures),
    path("operations/<int:operation>/figures/", figures),
    path("operations/<int:operation>/figures/<str:area>/", figures),
    path("operations/<int:operation>/things/<str:where>/", thing),
    path("forgotten/", forgotten),
    path("api/", api.urls),
]
