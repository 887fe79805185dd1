# XML as APIs read it: one function for each of the readers that are widespread. Each gives the e-mail of a customer.

import re
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers.expat import ExpatError


def local(name: Any) -> str:
    """A name without its namespace, or without its prefix; empty for a comment or a processing instruction."""
    return re.split("[}:]", name)[-1] if isinstance(name, str) else ""


def by_element_tree(data: bytes) -> str | None:
    """The text of the first element of that name, by ElementTree."""
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, LookupError) as error:
        raise ValueError from error
    found = [child for child in root if local(child.tag) == "email"]
    return found[0].text if found and local(root.tag) == "Customer" else None


def by_lxml(data: bytes) -> str | None:
    """All of the text in the last element of that name, by lxml, which puts entities in."""
    from lxml import etree

    try:
        root = etree.fromstring(data)
    except etree.XMLSyntaxError as error:
        raise ValueError from error
    found = root.xpath("/*[local-name()='Customer']/*[local-name()='email']")
    return str(found[-1].xpath("string()")) if found else None


def by_xmltodict(data: bytes) -> str | None:
    """What xmltodict makes of it: blanks around a text are gone, and of several elements the last counts."""
    import xmltodict

    try:
        (found,) = xmltodict.parse(data, process_namespaces=True, namespace_separator=":").items()
    except (ExpatError, LookupError) as error:
        raise ValueError from error
    members = found[1] if isinstance(found[1], dict) else {}
    value = next((value for name, value in members.items() if local(name) == "email"), None)
    value = value[-1] if isinstance(value, list) else value
    return value.get("#text") if isinstance(value, dict) else value


def by_tolerant(data: bytes) -> str | None:
    """As the most tolerant reader would: names in any case, the last one counts, attributes are elements."""
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, LookupError) as error:
        raise ValueError from error
    attributes = [value for name, value in root.items() if local(name).casefold() == "email"]
    elements = ["".join(child.itertext()) for child in root if local(child.tag).casefold() == "email"]
    return next(iter([*attributes, *elements][::-1]), None)
