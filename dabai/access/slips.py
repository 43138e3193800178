"""Slips to print and hand out: a QR code, the pairing code to type where no camera is, the name, the place.

One A4 page holds eight. A slip is a secret until it is used: the page says so, nothing keeps a copy, and the file is to
be deleted after printing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape

import segno

from dabai.access.codes import shown
from dabai.kernel import clock
from dabai.kernel.words import say

FIELD_APP = "/field/#/pair?code="

PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>{title}</title><style>
@page {{ size: A4; margin: 10mm }}
body {{ margin: 0; font: 11pt/1.35 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; color: #000 }}
main {{ display: grid; grid-template-columns: 1fr 1fr; gap: 0 }}
article {{ box-sizing: border-box; height: 68mm; padding: 4mm; border: .3mm dashed #777; display: grid;
  grid-template-columns: 36mm 1fr; gap: 4mm; break-inside: avoid; overflow: hidden }}
svg {{ width: 36mm; height: 36mm; display: block }}
h2 {{ font-size: 12pt; margin: 0 0 1mm }}
p {{ margin: 0 0 1mm }}
.code {{ font: bold 17pt/1.2 ui-monospace, "DejaVu Sans Mono", monospace; letter-spacing: .04em; white-space: nowrap }}
small {{ font-size: 8.5pt; grid-column: 1 / -1 }}
</style></head><body><main>
"""
END = "</main></body></html>\n"


@dataclass(frozen=True, slots=True)
class Slip:
    """What one slip says. ``secret`` is a pairing code, or the path of a welcome link; ``place`` is where a device
    reports, or the PIN that goes with a welcome. Both are kept nowhere else.
    """

    purpose: str
    name: str
    secret: str
    expires_at: datetime
    place: str = ""
    holder: str = ""


def page(slips: Iterable[Slip], base_url: str, lang: str = "zh") -> Iterator[str]:
    """The printable page as HTML, slip by slip. ``base_url`` is how phones reach this installation."""
    yield PAGE.format(lang="zh-CN" if lang == "zh" else "en", title=escape(say("access.slip.title", lang)))
    for slip in slips:
        yield article(slip, base_url.rstrip("/"), lang)
    yield END


def address(slip: Slip, base_url: str) -> str:
    """What the QR code says. A pairing code stands behind ``#``, where no server's log sees it."""
    return f"{base_url}{FIELD_APP}{slip.secret}" if slip.purpose == "pair" else f"{base_url}{slip.secret}"


def article(slip: Slip, base_url: str, lang: str) -> str:
    """One slip."""
    until = say("access.slip.valid_until", lang, date=slip.expires_at.astimezone(clock.zone()).strftime("%Y-%m-%d"))
    lines = [f"<h2>{escape(slip.name)}</h2>", f"<p>{say('access.slip.' + slip.purpose, lang)}</p>"]
    if slip.purpose == "pair":
        lines.append(f'<p class="code">{escape(shown(slip.secret))}</p>')
        lines += [f"<p>{escape(text)}</p>" for text in (slip.place, slip.holder) if text]
    else:
        lines.append(f"<p>{say('access.slip.username', lang)}: {escape(slip.holder)}</p>")
    with_pin = slip.purpose == "welcome" and bool(slip.place)
    if with_pin:
        lines.append(f"<p>{say('access.slip.pin', lang)}</p>")
        lines.append(f'<p class="code">{escape(slip.place[:3])} {escape(slip.place[3:])}</p>')
    how = "welcome_pin_how" if with_pin else f"{slip.purpose}_how"
    notes = f"{say(f'access.slip.{how}', lang)} {until} {say('access.slip.keep', lang)}"
    return (
        f"<article>{qr(address(slip, base_url))}<div>{''.join(lines)}</div><small>{escape(notes)}</small></article>\n"
    )


def qr(text: str) -> str:
    """A QR code as inline SVG, error correction M.

    With a fixed mask: weighing all eight against each other takes four fifths of the time, and every reader reads any.
    """
    code = segno.make(text, error="m", micro=False, boost_error=False, mask=2)
    return str(code.svg_inline(border=2, omitsize=True))
