"""Reads XML that may be hostile: without a document type, so that no entity is expanded."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree


class _WithoutDoctype(ElementTree.TreeBuilder):
    def doctype(self, *_: Any) -> None:
        raise ValueError("it has a document type; annotation files have none")


def parse_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        ValueError: it is not XML, or has a document type.
        OSError: it cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is not a regular file")  # a pipe would never end
    try:
        parser = ElementTree.XMLParser(target=_WithoutDoctype())
        return ElementTree.fromstring(path.read_bytes(), parser)
    except (ElementTree.ParseError, LookupError) as error:  # the latter: an unknown encoding
        raise ValueError(f"it is not XML ({error})") from error
    except ValueError as error:
        if "multi-byte" in str(error):
            raise ValueError("its encoding cannot be read; save it in UTF-8") from error
        raise


def text_of(element: ElementTree.Element, path: str) -> str | None:
    """The text of an element below another one, without the blanks around it; None for none."""
    text = element.findtext(path)
    return None if text is None else text.strip()
