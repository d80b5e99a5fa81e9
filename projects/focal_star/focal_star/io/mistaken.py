"""Names what a file seems to be that was expected to be something else."""

_STARTS = (
    (b"version https://git-lfs", "a pointer of Git LFS; git lfs pull downloads the file"),
    (b"<!doctype html", "a web page, perhaps the error page of a download"),
    (b"<html", "a web page, perhaps the error page of a download"),
    (b"<svg", "an SVG drawing; convert it to PNG"),
    (b"%pdf", "a PDF; convert it to PNG"),
    (b"pk\3\4", "a ZIP archive; unpack it"),
)
"""The start of a file, in lower case -> what it is, and what to do."""

_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1", b"avif", b"avis")


def seems_to_be(content: bytes) -> str:
    """Words on the content of a file, with a semicolon in front; "" for no idea.

    Args:
        content: its first 32 bytes, or more.
    """
    if not content:
        return "; it is empty"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        return "; it seems to be HEIC or AVIF; convert it to JPEG or PNG"
    start = content[:32].lstrip().lower()
    format_name = next((what for known, what in _STARTS if start.startswith(known)), "")
    return f"; it seems to be {format_name}" if format_name else ""
