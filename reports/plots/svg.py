"""Turns matplotlib's SVG into a small drawing with real text, in the colours of its page.

matplotlib draws with fixed colours and fonts. A file keeps the colours of light paper; in the page,
a colour of the palette becomes a variable of the style sheet.
"""

import base64
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from PIL import Image

from reports.results.colours import PALETTE

FONTS = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"
"""Narrower than the font that matplotlib measures, so that texts do not run into each other."""

MARK = "mark-"
"""An id that begins like this is kept, for scripts of the page."""

_QUALITY = 85
"""The quality of the photographs as WebP, from 0 to 100."""

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_VARIABLES = {colour.light: f"var(--c-{name})" for name, colour in PALETTE.items()}
_COLOUR = re.compile(rf"\b(fill|stroke):({'|'.join(_VARIABLES)})\b")
ElementTree.register_namespace("", _SVG[1:-1])
_NUMBER = re.compile(r"-?\d*\.\d+")
_GEOMETRY = {"d", "x", "y", "width", "height", "transform", "points", "viewBox"}
_NO_TURN = re.compile(r"^rotate\(-?0 [^)]*\)$")
_DEFAULTS = {("stroke-linejoin", "round"), ("stroke-linecap", "butt"), ("stroke-width", "1")}


def compact(text: str) -> str:
    """The ``<svg>`` element of matplotlib's file, smaller.

    Coordinates are rounded to a hundredth of a point. Elements that draw nothing are removed. Ids
    are kept if something refers to them, and are then short, or if they begin with ``MARK``.
    """
    root = ElementTree.fromstring(text)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
    used = dict.fromkeys(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    names = {old: f"i{number}" for number, old in enumerate(used)}
    names |= {mark: mark for mark in re.findall(rf'\bid="({MARK}[^"]*)"', text)}
    for element in root.iter():
        _shorten(element, names)
    _flatten(root)
    root.attrib.pop("version", None)
    root.set("font-family", FONTS)
    root.set("stroke-linejoin", "round")
    return ElementTree.tostring(root, encoding="unicode")


def inline(svg: str, name: str, style: str = "") -> str:
    """The element for a page: its colours are variables, ``name`` is prefixed to its ids.

    The page adds the alternative text.

    Args:
        svg: from :func:`compact`.
        name: a prefix that no other figure of the page has.
        style: a class of the style sheet.
    """
    element = _COLOUR.sub(lambda match: f"{match[1]}:{_VARIABLES[match[2]]}", svg)
    element = re.sub(r'\bid="', f'id="{name}-', element)
    element = re.sub(r'href="#', f'href="#{name}-', element)
    element = re.sub(r"url\(#", f"url(#{name}-", element)
    element = element.replace(f' font-family="{FONTS}"', "", 1)
    marked = f'<svg class="{style}" aria-hidden="true" focusable="false" '
    return re.sub(r"^<svg ", marked, element).strip()


@dataclass(frozen=True)
class Photo:
    """A photograph that several drawings show: WebP, and its size in px."""

    webp: bytes
    width: int
    height: int


def share_photographs(elements: Sequence[str]) -> tuple[list[str], tuple[Photo, ...]]:
    """Replace the photographs of some drawings by references to ids ``photo0``, ``photo1``, ..

    Returns:
        The drawings, and their different photographs in the order of the ids.
    """
    numbers: dict[str, int] = {}

    def reference(match: re.Match) -> str:
        image = ElementTree.fromstring(f'<svg xmlns:xlink="x">{match.group()}</svg>')[0]
        number = numbers.setdefault(image.attrib["href"], len(numbers))
        return f'<use href="#photo{number}" transform="{image.attrib["transform"]}" />'

    shared = [re.sub(r"<image [^>]*>", reference, element) for element in elements]
    return shared, tuple(_photo(uri) for uri in numbers)


def shared(photos: Sequence[Photo], name: str) -> str:
    """The element with the photographs of the drawings called ``name``."""
    images = [
        f'<image id="{name}-photo{number}" width="{photo.width}" height="{photo.height}" '
        f'href="data:image/webp;base64,{base64.b64encode(photo.webp).decode()}"/>'
        for number, photo in enumerate(photos)
    ]
    return (
        '<svg class="photos" aria-hidden="true" focusable="false" width="0" height="0">'
        f"<defs>{''.join(images)}</defs></svg>"
    )


def _photo(uri: str) -> Photo:
    content, webp = base64.b64decode(uri.partition(",")[2]), io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(webp, "WEBP", quality=_QUALITY, method=6)
        return Photo(webp.getvalue(), *image.size)


def variables() -> dict[str, tuple[str, str]]:
    """Name of a variable of the style sheet -> its light and dark colour."""
    return {f"--c-{name}": (colour.light, colour.dark) for name, colour in PALETTE.items()}


def _shorten(element: ElementTree.Element, names: dict[str, str]) -> None:
    element.tail = None
    if element.tag != f"{_SVG}text":
        element.text = None
    for name, value in list(element.attrib.items()):
        if name in _GEOMETRY:
            value = _NUMBER.sub(_rounded, re.sub(r"\s*\n\s*", "", value)).strip()
            if name == "d":
                value = re.sub(r" ?([A-Za-z]) ?", r"\1", value)
        if name == "style":
            del element.attrib[name]
            _restyle(element, value, names)
        elif name == "id":
            del element.attrib[name]
            if value in names:
                element.set("id", names[value])
        elif name == _LINK:
            del element.attrib[name]
            element.set("href", f"#{names[value[1:]]}" if value.startswith("#") else value)
        elif name == "clip-path":
            element.set(name, f"url(#{names[value[5:-1]]})")
        elif name == "transform" and _NO_TURN.match(value):
            del element.attrib[name]
        elif name != "style":
            element.set(name, value)


def _restyle(element: ElementTree.Element, style: str, names: dict[str, str]) -> None:
    """Write a style as attributes; only colours of the palette, later variables, stay a style."""
    coloured = []
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":  # the shorthand: bold 10px 'DejaVu Sans', ...
            words = value.split("'")[0].split()
            element.set("font-size", words[-1].removesuffix("px"))
            if "bold" in words or "700" in words:
                element.set("font-weight", "bold")
        elif name == "font-size":
            element.set(name, value.removesuffix("px"))
        elif value in _VARIABLES:
            coloured.append(f"{name}:{value}")
        elif value.startswith("url(#"):
            element.set(name, f"url(#{names[value[5:-1]]})")
        elif name != "font-family" and (name, value) not in _DEFAULTS:
            element.set(name, _NUMBER.sub(_rounded, value))
    if coloured:
        element.set("style", ";".join(coloured))


def _rounded(number: re.Match) -> str:
    text = f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _flatten(parent: ElementTree.Element) -> None:
    """Replace groups without attributes by their children; remove empty ones."""
    children: list[ElementTree.Element] = []
    for child in list(parent):
        _flatten(child)
        if child.tag in (f"{_SVG}g", f"{_SVG}defs") and not len(child):
            continue
        children += list(child) if child.tag == f"{_SVG}g" and not child.attrib else [child]
    parent[:] = children
