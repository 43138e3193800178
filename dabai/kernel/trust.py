"""The page by which a phone learns to trust the local authority, and the authority's certificate to download.

Served twice: by the desk at ``/trust/``, and by ``application``, a WSGI application of its own, without Django, that
`dabai serve` runs on a plain port, because a phone cannot open the HTTPS page before it trusts. Nothing here is secret
and nothing is asked: the fingerprint on the page is to be compared with the one on the printed slip.
"""

import os
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from dabai.kernel.words import LANGUAGES, say

SYSTEMS = {"ios": 5, "android": 4, "harmony": 4, "windows": 4}
CERTIFICATE_TYPE = "application/x-x509-ca-cert"
DISPOSITION = 'attachment; filename="dabai-ca.crt"'
STYLE = """
body{font:17px/1.6 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
max-width:40rem;margin:0 auto;padding:1rem;color:#1a1a1a}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
a.get{display:block;text-align:center;
padding:.9rem;border-radius:.5rem;background:#0b5cad;color:#fff;text-decoration:none;font-weight:600}
code{word-break:break-all;font-size:.9rem}.note{background:#fff4d6;padding:.7rem 1rem;border-radius:.5rem}
nav{text-align:right;font-size:.9rem}
"""


def authority_file() -> Path:
    """The authority's certificate in the data folder."""
    return Path(os.environ["DABAI_DATA"]) / "tls" / "ca.crt"


def authority() -> x509.Certificate | None:
    """The local authority's certificate, or None where there is no local authority."""
    file = authority_file()
    return x509.load_pem_x509_certificate(file.read_bytes()) if file.is_file() else None


def language_of(query: str, accepted: str) -> str:
    """``?lang=`` decides, else the browser's first choice, else Chinese."""
    asked = parse_qs(query).get("lang", [""])[0]
    if asked in LANGUAGES:
        return asked
    return "en" if accepted.lower().startswith("en") else "zh"


def trust_page(lang: str) -> str:
    """The whole page as HTML, without scripts: why, the certificate, its fingerprint, and the steps for each system."""
    certificate = authority()
    mark = certificate.fingerprint(hashes.SHA256()).hex(":").upper() if certificate else "-"
    other = "en" if lang == "zh" else "zh"
    systems = "".join(_steps(system, count, lang) for system, count in SYSTEMS.items())
    home = os.environ.get("DABAI_BASE_URL", "/")

    def text(key: str, **params: str) -> str:
        return escape(say(f"ops.trust.{key}", lang, **params))

    return f"""<!doctype html><html lang="{lang}"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>{text("title")}</title>
<style>{STYLE}</style></head><body>
<nav><a href="?lang={other}">{text("other_language")}</a></nav><h1>{text("title")}</h1><p>{text("why")}</p>
<p><a class="get" href="/trust/ca.crt">{text("download")}</a></p><p class="note">{text("browser")}</p>
<p>{text("compare")}<br><code>{mark}</code></p>{systems}
<h2>{text("done")}</h2><p><a class="get" href="{escape(home)}">{text("go")}</a></p>
<p>{text("later")}</p></body></html>"""


def certificate_bytes() -> bytes | None:
    """The authority's certificate as every system installs it when it is opened (DER)."""
    found = authority()
    return found.public_bytes(Encoding.DER) if found else None


def _steps(system: str, count: int, lang: str) -> str:
    steps = "".join(f"<li>{escape(say(f'ops.trust.{system}.step{n}', lang))}</li>" for n in range(1, count + 1))
    return f"<h2>{escape(say(f'ops.trust.{system}.name', lang))}</h2><ol>{steps}</ol>"


Start = Callable[[str, list[tuple[str, str]]], Any]


def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """WSGI for the plain port: these two addresses and nothing else."""
    where = environ.get("PATH_INFO", "")
    if environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
        return _answer(start, "405 Method Not Allowed", "text/plain", b"")
    if where in ("", "/"):
        return _answer(start, "302 Found", "text/plain", b"", ("Location", "/trust/"))
    if where == "/trust/":
        lang = language_of(environ.get("QUERY_STRING", ""), environ.get("HTTP_ACCEPT_LANGUAGE", ""))
        return _answer(start, "200 OK", "text/html; charset=utf-8", trust_page(lang).encode())
    if where == "/trust/ca.crt" and (body := certificate_bytes()):
        return _answer(start, "200 OK", CERTIFICATE_TYPE, body, ("Content-Disposition", DISPOSITION))
    return _answer(start, "404 Not Found", "text/plain", b"")


def _answer(start: Start, status: str, kind: str, body: bytes, *more: tuple[str, str]) -> list[bytes]:
    safe = [("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), *safe, *more])
    return [body]
