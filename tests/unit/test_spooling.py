# Which bodies above the limit go to a file: only those of which nothing must be read in memory.

import pytest

from gateway.guard.content import BodyFormats
from gateway.guard.spooled import Spooling

MULTIPART = "multipart/form-data; boundary=a"
FORM = "application/x-www-form-urlencoded"
PLAIN, WITH_MSGPACK = BodyFormats(1), BodyFormats(1, msgpack=True)


@pytest.mark.parametrize(
    ("spooling", "kind", "is_taken"),
    [
        (Spooling(9, reads_form=True, reads_bytes=False, reads_json=True), MULTIPART, True),
        (Spooling(9, reads_form=True, reads_bytes=False, reads_json=True), FORM, False),
        (Spooling(9, reads_form=True, reads_bytes=False, reads_json=False), "text/csv", False),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=False), "application/json", True),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=True), "application/json", False),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=True), "text/csv", True),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=True), "application/msgpack", True),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=False), "text/xml", True),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=False, reads_xml=True), "text/xml", False),
        (Spooling(9, reads_form=False, reads_bytes=True, reads_json=False, reads_xml=True), None, True),
    ],
)
def test_a_body_is_taken_where_nothing_of_it_must_be_in_memory(
    spooling: Spooling, kind: str | None, *, is_taken: bool
) -> None:
    assert spooling.takes(kind, None, PLAIN) is is_taken
    is_msgpack = kind == "application/msgpack"
    assert spooling.takes(kind, None, WITH_MSGPACK) is (is_taken and not (is_msgpack and spooling.reads_json))
    assert not spooling.takes(kind, "gzip", PLAIN) or spooling.reads_bytes
