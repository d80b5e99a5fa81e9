"""Writes image files of forms that Pillow cannot write."""

import struct
import zlib
from pathlib import Path

import numpy as np


def write_png(path: Path, values: np.ndarray, clear: tuple[int, ...] = ()) -> None:
    """A PNG of 16 bits per value.

    Args:
        path: the file.
        values: (H, W, bands) whole numbers up to 65535: grey, grey and alpha, RGB, or RGBA.
        clear: the one colour that is transparent; none for no such colour.
    """
    height, width, bands = values.shape
    rows = values.astype(">u2").tobytes()
    stride = len(rows) // height
    lines = b"".join(b"\0" + rows[n : n + stride] for n in range(0, len(rows), stride))
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header)]
    if clear:
        chunks.append((b"tRNS", struct.pack(f">{len(clear)}H", *clear)))
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def write_tiff(
    path: Path,
    values: np.ndarray,
    *,
    order: str = "<",
    photometric: int | None = None,
    extra: tuple[int, ...] = (),
    planar: bool = False,
    compressed: bool = False,
    twelve_bits: bool = False,
) -> None:
    """A TIFF in one strip a plane.

    Args:
        path: the file.
        values: (H, W, bands), uint8 or uint16.
        order: of the bytes, "<" or ">".
        photometric: 1 (grey) or 2 (RGB) by the number of bands where it is None.
        extra: of each band beyond the colours: 0 unspecified, 1 associated alpha, 2 alpha.
        planar: one band after the other.
        compressed: by Deflate, which Pillow leaves to libtiff.
        twelve_bits: pack two values into three bytes.
    """
    height, width, bands = values.shape
    bits = 12 if twelve_bits else 8 * values.dtype.itemsize
    planes = [values[..., n] for n in range(bands)] if planar else [values]
    strips = [plane.astype(values.dtype.newbyteorder(order)).tobytes() for plane in planes]
    if twelve_bits:
        first, second = values.reshape(-1, 2).T.astype(np.uint16)
        packed = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
        strips = [np.stack(packed, axis=1).astype(np.uint8).tobytes()]
    if compressed:
        strips = [zlib.compress(strip) for strip in strips]
    starts = np.cumsum([8, *map(len, strips)]).tolist()
    if photometric is None:
        photometric = 1 if bands - len(extra) == 1 else 2
    tags = {
        256: [width], 257: [height], 258: [bits] * bands, 259: [8 if compressed else 1],
        262: [photometric], 273: starts[:-1], 277: [bands], 278: [height],
        279: [len(strip) for strip in strips], 284: [2 if planar else 1],
    } | ({338: list(extra)} if extra else {})  # fmt: skip
    directory = starts[-1] + starts[-1] % 2
    beyond = directory + 2 + 12 * len(tags) + 4
    entries, data = b"", b""
    for tag, numbers in sorted(tags.items()):
        is_long = tag in (273, 279)
        content = struct.pack(f"{order}{len(numbers)}{'I' if is_long else 'H'}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, 4 if is_long else 3, len(numbers))
        if len(content) > 4:
            entries += struct.pack(f"{order}I", beyond + len(data))
            data += content + b"\0" * (len(content) % 2)
        else:
            entries += content.ljust(4, b"\0")
    header = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, directory)
    body = header + b"".join(strips) + b"\0" * (starts[-1] % 2)
    path.write_bytes(
        body + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0) + data
    )
