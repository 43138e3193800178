"""Request bodies, gzipped or not, and never more than a limit of them."""

import json
import zlib
from typing import Any

import orjson
from django.http import HttpRequest
from ninja.parser import Parser

from dabai.kernel.refusal import Refusal

MAX_BODY = 4 * 2**20


def unpacked(request: HttpRequest) -> bytes:
    """The body, inflated if it came gzipped. Refusals ``api.request_too_large``, ``api.request_invalid``."""
    if request.headers.get("Content-Encoding", "").lower() != "gzip":
        return limited(request.body)
    inflater = zlib.decompressobj(wbits=31)
    try:
        body = inflater.decompress(limited(request.body), MAX_BODY)
    except zlib.error as error:
        raise Refusal("api.request_invalid") from error
    if inflater.unconsumed_tail or not inflater.eof:
        raise Refusal("api.request_too_large" if inflater.unconsumed_tail else "api.request_invalid")
    return body


def limited(body: bytes) -> bytes:
    """The bytes, if they are not too many."""
    if len(body) > MAX_BODY:
        raise Refusal("api.request_too_large")
    return body


def read_json(request: HttpRequest) -> Any:
    """The JSON value of a request. Refusals ``api.request_too_large``, ``api.request_invalid``.

    Half a sign (browsers do send them) or a number beyond 64 bits must not turn away a whole request for one field of
    one fact: what the fast parser does not take, Python's own may, and then ``mended`` makes it harmless.
    """
    body = unpacked(request)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return mended(json.loads(body, parse_constant=float_only))
    except (ValueError, RecursionError) as error:
        raise Refusal("api.request_invalid") from error


def float_only(name: str) -> float:
    """``NaN`` and ``Infinity`` are Python's, not JSON's."""
    raise ValueError(name)


def mended(value: Any) -> Any:
    """Half signs become U+FFFD; numbers that no column holds become text, which their field then refuses."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {mended(name): mended(one) for name, one in value.items()}
    if isinstance(value, list):
        return [mended(one) for one in value]
    if isinstance(value, int | float) and not -(2.0**63) < value < 2.0**63:
        return str(value)[:40]
    return value


class PackedParser(Parser):
    """Reads JSON bodies for every endpoint, gzipped ones too."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The JSON value. Refusals ``api.request_too_large``, ``api.request_invalid``."""
        return read_json(request)
