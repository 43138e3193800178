"""The HTTP interface ``/api/v1/``: what phones, laboratories and scripts use. Errors have one form in two languages."""

import logging
from typing import Any

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from dabai.api.contract import complete
from dabai.api.packed import PackedParser
from dabai.kernel.refusal import Refusal, field_path
from dabai.kernel.words import language_of, say_refusal

STATUS = {
    "not_found": 404,
    "not_allowed": 403,
    "too_large": 413,
    "too_many": 429,
    "wrong_state": 409,
    "token_unknown": 401,
    "login_wrong": 401,
    "step_impossible": 409,
    "round_frozen": 409,
    "round_over": 409,
    "device_unexplained": 409,
    "import_state": 409,
}


class Interface(NinjaAPI):
    """Ninja's interface, whose document also tells every kind of fact and what a refusal looks like."""

    def get_openapi_schema(self, **options: Any) -> Any:
        """The contract as it is published."""
        return complete(super().get_openapi_schema(**options))


log = logging.getLogger("dabai.api")
api = Interface(
    title="Dabai",
    version="1.0.0",
    urls_namespace="api",
    docs_url=None,
    openapi_url="/openapi.json",
    parser=PackedParser(),
)


def answer(request: HttpRequest, refusal: Refusal, status: int) -> HttpResponse:
    """The one form of an error: stable code, field, values, and a sentence in the reader's language."""
    body = {**refusal.as_dict(), "message": say_refusal(refusal, language_of(request))}
    return api.create_response(request, body, status=status)


@api.exception_handler(Refusal)
def on_refusal(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A refusal is a client's error; which one, the last words of its code say."""
    reason = refusal.code.rpartition(".")[2]
    status = next((code for words, code in STATUS.items() if reason.endswith(words)), 422)
    return answer(request, refusal, status)


@api.exception_handler(ValidationError)
def on_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """A request of the wrong form: the first field that is wrong, never its value."""
    path = error.errors[0].get("loc", ()) if error.errors else ()
    return answer(request, Refusal("api.request_invalid", field_path(path[1:]) or None), 422)


@api.exception_handler(AuthenticationError)
def on_unknown(request: HttpRequest, error: Any) -> HttpResponse:
    """Nobody we know."""
    return answer(request, Refusal("api.token_unknown"), 401)


@api.exception_handler(HttpError)
def on_http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """What the framework itself turns away (a body that is not JSON). What the body parser refused, it refused."""
    if isinstance(error.__cause__, Refusal):
        return on_refusal(request, error.__cause__)
    log.info("%s: %s (%s)", request.path, error, type(error.__cause__).__name__)
    return answer(request, Refusal("api.request_invalid"), error.status_code)


@api.exception_handler(RequestDataTooBig)
def on_too_big(request: HttpRequest, error: Any) -> HttpResponse:
    """More than a request may carry."""
    return answer(request, Refusal("api.request_too_large"), 413)


def on_unreadable(request: HttpRequest, error: Any) -> HttpResponse:
    """A form or upload that can't be taken apart, or that looks like an attack on whoever tries."""
    return answer(request, Refusal("api.request_invalid"), 422)


for _broken in (MultiPartParserError, SuspiciousOperation, BadRequest):
    api.exception_handler(_broken)(on_unreadable)


def on_database_gone(request: HttpRequest, error: Any) -> HttpResponse:
    """The database is away: nothing was stored, so try again."""
    response = answer(request, Refusal("api.try_again"), 503)
    response["Retry-After"] = "2"
    return response


for _error in (OperationalError, InterfaceError, TimeoutError):
    api.exception_handler(_error)(on_database_gone)
