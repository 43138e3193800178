"""Request bodies, gzipped or not, and never more than a limit of them."""

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


class PackedParser(Parser):
    """Reads JSON bodies for every endpoint, gzipped ones too."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The JSON value. Refusals ``api.request_too_large``, ``api.request_invalid``."""
        try:
            return orjson.loads(unpacked(request))
        except orjson.JSONDecodeError as error:
            raise Refusal("api.request_invalid") from error
