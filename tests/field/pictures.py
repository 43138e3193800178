"""What the camera sees: bar codes and QR codes drawn into a raw video that Chromium plays as if a camera filmed it."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import segno
from barcode import Code128

from dabai.commands._folder import CHECKOUT

WIDTH, HEIGHT, RATE = 640, 480, 10
WHITE, BLACK, GREY, DESK = 235, 16, 128, 150


def bars(text: str) -> list[bytes]:
    """A white label with the text in Code 128, as rows of brightness."""
    marks = Code128(text).build()[0]
    unit = (WIDTH - 80) // (len(marks) + 20)
    code = b"".join(bytes([BLACK if mark == "1" else WHITE]) * unit for mark in marks)
    side = (WIDTH - len(code)) // 2
    row = bytes([WHITE]) * side + code + bytes([WHITE]) * (WIDTH - side - len(code))
    plain = bytes([WHITE]) * WIDTH
    edge = bytes([DESK]) * WIDTH
    return [edge] * 120 + [plain] * 40 + [row] * 160 + [plain] * 40 + [edge] * 120


def square(text: str) -> list[bytes]:
    """The text as a QR code on a white card."""
    matrix = [list(row) for row in segno.make(text, error="m", micro=False).matrix]
    unit = 360 // (len(matrix) + 8)
    size = unit * len(matrix)
    left, top = (WIDTH - size) // 2, (HEIGHT - size) // 2
    plain = bytes([WHITE]) * WIDTH
    rows = [plain] * top
    for line in matrix:
        code = b"".join(bytes([BLACK if mark else WHITE]) * unit for mark in line)
        rows += [bytes([WHITE]) * left + code + bytes([WHITE]) * (WIDTH - left - size)] * unit
    return rows + [plain] * (HEIGHT - len(rows))


def nothing() -> list[bytes]:
    """The table between two labels."""
    return [bytes([DESK]) * WIDTH] * HEIGHT


def film(path: Path, scenes: Sequence[tuple[list[bytes], float]]) -> Path:
    """A video (YUV4MPEG2) that shows each scene for so many seconds, and starts again at its end."""
    colour = bytes([GREY]) * (WIDTH * HEIGHT // 2)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for rows, seconds in scenes:
            frame = b"FRAME\n" + b"".join(rows) + colour
            file.writelines([frame] * round(seconds * RATE))
    return path


READER = """
import { readFileSync } from 'node:fs'
import { prepareZXingModule, readBarcodes } from 'zxing-wasm/reader'
const wasm = readFileSync('node_modules/zxing-wasm/dist/reader/zxing_reader.wasm')
prepareZXingModule({ overrides: { wasmBinary: wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.length) } })
const found = await readBarcodes(new Uint8Array(readFileSync(process.argv[1])), { formats: ['QRCode', 'Code128'] })
process.stdout.write(found.map(one => one.text).join('\\n'))
"""


def read_code(picture: Path) -> str:
    """What a reader makes of a picture (PNG): the app's own, outside of the browser."""
    node = shutil.which("node") or str(CHECKOUT / ".venv" / "bin" / "node")
    words = [node, "--input-type=module", "-e", READER, str(picture)]
    done = subprocess.run(words, cwd=CHECKOUT / "field", capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.stdout
