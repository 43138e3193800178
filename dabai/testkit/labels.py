"""A page of labels to try the field app with: tubes, a bag and a box as Code 128, residents as QR codes.

The codes are those of ``dabai.testkit.shift``; nobody on the page exists.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import segno
from barcode import Code128

TUBES = 4
RESIDENTS = 24
PAGE = """<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>试采条码 · labels to try with</title><style>
@page { size: A4; margin: 10mm }
body { margin: 8mm; font: 11pt/1.3 "Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif; color: #000;
  background: #fff }
h1 { font-size: 14pt } h2 { font-size: 11pt; margin: 6mm 0 2mm }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(62mm, 1fr)); gap: 6mm }
figure { margin: 0; text-align: center; break-inside: avoid } figcaption { white-space: nowrap }
.bars { width: 60mm; height: 16mm } .qr svg { width: 30mm; height: 30mm }
code { font: bold 12pt ui-monospace, "DejaVu Sans Mono", monospace }
</style></head><body>
"""


def page(shift: Mapping[str, Any]) -> str:
    """The whole page as HTML."""
    strips = [bars(code) for code in (*shift["tubes"][:TUBES], shift["bags"][0], shift["boxes"][0])]
    cards = [card(person) for person in shift["people"][:RESIDENTS]]
    return (
        f"{PAGE}<h1>{escape(str(shift['site']['name']))}</h1>"
        f"<h2>采样管 ×{TUBES} · 转运袋 · 转运箱</h2><main>{''.join(strips)}</main>"
        f"<h2>居民（均为虚构）</h2><main>{''.join(cards)}</main></body></html>\n"
    )


def bars(code: str) -> str:
    """One strip: the code as bars, and to be read."""
    row = Code128(code).build()[0]
    marks = "".join(f"M{x} 0v1" for x, mark in enumerate(row) if mark == "1")
    drawn = f'<path d="{marks}" stroke="#000" transform="translate(.5)" shape-rendering="crispEdges"/>'
    frame = f'viewBox="-10 0 {len(row) + 20} 1" preserveAspectRatio="none"'
    return f'<figure><svg class="bars" {frame}>{drawn}</svg><figcaption><code>{code}</code></figcaption></figure>'


def card(person: Mapping[str, str]) -> str:
    """One resident's code, with what stands on their card."""
    drawn = segno.make(person["code"], error="m", micro=False).svg_inline(border=2, omitsize=True)
    said = f"{escape(person['name'])}<br>{escape(person['number'])}"
    return f'<figure><div class="qr">{drawn}</div><figcaption>{said}</figcaption></figure>'
