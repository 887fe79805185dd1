# One rule, compiled: what it guards, what an identity is there, and what becomes of a create. Pure.

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.guard.answer import Outcomes
from gateway.guard.answer_shapes import AnswerShape
from gateway.guard.authorize import Authorize
from gateway.guard.batch import Batch
from gateway.guard.body import Wanted
from gateway.guard.condition import Condition
from gateway.guard.content import BodyFormats
from gateway.guard.field import Field, Source
from gateway.guard.following import Action, Followed
from gateway.guard.key import Key
from gateway.guard.question import Verify
from gateway.guard.resource import Resource
from gateway.guard.spooled import Spooling
from gateway.guard.strict_xml import Names
from gateway.guard.template import Template
from gateway.guard.value import ValueForm
from gateway.guard.xml_body import XmlWay

_AS_THEY_ARE: Mapping[str, AnswerShape] = {}


class ScopeField(msgspec.Struct, frozen=True):
    """One field of `scope`."""

    field: Field
    form: ValueForm

    @property
    def keeps_spelling(self) -> bool:
        """Whether equal values are spelt alike."""
        return self.form.keeps_spelling and not _in_xml(self.field)


class Entry(msgspec.Struct, frozen=True):
    """One `unique` entry, or what it was before a change."""

    name: str
    """What its claims are called; that of the entry now."""
    namespace: str
    hashed_as: str
    """The name that its fingerprints are made with, as is its namespace."""
    version: int
    """That of its claims (see gateway.config.versions)."""
    scope: tuple[ScopeField, ...]
    """That of the rule, or what it was."""
    fields: tuple[Field, ...]
    form: ValueForm
    is_skipped: bool = False
    """Whether it is left out when a field of it is absent."""
    is_plain: bool = True
    """Whether it is never skipped, was always the same, and has no field with alternatives or of the whole body."""
    previous: "Entry | None" = None
    """What it was, where that is claimed, too."""

    @property
    def keeps_spelling(self) -> bool:
        """Whether equal identities are spelt alike."""
        is_exact = self.form.keeps_spelling and not any(map(_in_xml, self.fields))
        return is_exact and all(part.keeps_spelling for part in self.scope)


def _in_xml(field: Field) -> bool:
    """Whether white space around a value may not count."""
    return any(each.source is Source.XML for each in field.each)


class When(msgspec.Struct, frozen=True):
    """The conditions under which a rule guards what its path and methods match: all must hold."""

    head: tuple[Condition[Field], ...]
    """Those that can be told without the body."""
    body: tuple[Condition[Field], ...]
    """The others."""
    conditions: tuple[Condition[Field], ...]
    """All of them, these last."""
    paths: tuple[tuple[str | int, ...], ...]
    """The ways down to what these read in JSON."""
    elements: tuple[Names, ...] = ()
    """The names of the elements that they read in XML."""


class Exceptions(msgspec.Struct, frozen=True):
    """The conditions any of which leaves a request unguarded."""

    head: tuple[Condition[Field], ...]
    """Those that can be told without the body."""
    body: tuple[Condition[Field], ...]
    """The others."""
    wanted: Wanted
    """What these read in JSON."""
    xml: XmlWay | None
    """What they read in XML; None when nothing is."""
    reads_form: bool


class Override(msgspec.Struct, frozen=True):
    """Which duplicates are forwarded because who sends them wants it so."""

    header: bytes
    """The name, in lower case, of the header that says so."""
    callers: tuple[Condition[Field], ...]
    """Who may: all must hold."""


class Rule(msgspec.Struct, frozen=True):
    """One rule, ready to be matched. Lengths of time in milliseconds."""

    name: str
    namespace: str
    methods: frozenset[str]
    host: str | None
    template: Template
    scope: tuple[ScopeField, ...]
    entries: tuple[Entry, ...]
    body: Wanted | None
    """What is read from a body; None when nothing is."""
    forwards_missing: bool
    keep: int
    unknown_hold: int
    success: frozenset[int]
    refused: frozenset[int]
    refused_with_retry_after: frozenset[int]
    """Statuses that refuse only beside a well-formed Retry-After."""
    failed_is_free: bool
    formats: BodyFormats
    method_override: frozenset[bytes]
    resource: Resource | None
    when: When | None = None
    """The conditions under which it guards a request; None for none."""
    headers: frozenset[bytes] = frozenset()
    """Names, in lower case, of the header fields that decide: of conditions, scope, entries and key, and of caller."""
    caller: tuple[Field, ...] = ()
    needs_caller: bool = False
    """Whether it matters who sends a create."""
    key: Key | None = None
    retry_window: int = 0
    """For how long the same bytes of the same caller are a retry without a key; 0 for never."""
    replay_limit: int = 0
    """Bytes of an answer that are stored for retries; 0 where none is."""
    wait_timeout: float = 0.0
    """Seconds for which a create waits for the one in flight that holds its claims; 0 where it does not."""
    max_waiting_clients: int = 0
    link: Literal["caller", "anyone", "nobody"] = "caller"
    """Who may see the link to the created thing."""
    outcomes: Outcomes | None = None
    """What answers mean by what is in them; None where their statuses say it."""
    extensions: frozenset[str] = frozenset()
    """Suffixes of a path, in lower case and without a dot, that make no difference to the API."""
    authorize: Authorize | None = None
    """Who may know what exists; everybody where it is None."""
    duplicate: Literal["reject", "accept", "redirect", "upsert"] = "reject"
    """What a duplicate of a created thing gets."""
    accept_status: int = 0
    """That of an accepted duplicate."""
    upsert_method: str = ""
    """The method by which a duplicate is sent to the thing that exists; empty where it is not."""
    exists: frozenset[int] = frozenset()
    """Statuses by which the API says that the thing exists already."""
    exists_entry: str | None = None
    """The name of the entry that these are about."""
    answers: Mapping[str, AnswerShape] = _AS_THEY_ARE
    """The answers of the gateway's own that are shaped, by slug."""
    verify: Verify | None = None
    """How an unknown outcome is found out."""
    reads_form: bool = False
    """Whether a field is in a form, or in a file of one."""
    xml: XmlWay | None = None
    """What is read from a body of XML; None when nothing is."""
    reads_whole_body: bool = False
    """Whether all of a body counts."""
    caller_is_unproven: bool = False
    """Whether who sends a create is taken from what anybody may write: then an API that does not find a thing for a
    caller, who seems to be the one who made it, says nothing."""
    batch: Batch | None = None
    """Where the items of a request are; None where it is one create."""
    spooling: Spooling | None = None
    """Which bodies above the limit go to a file; None for none."""
    reads_client: bool = False
    """Whether the client's address counts."""
    exceptions: Exceptions | None = None
    """Which requests it leaves unguarded; None for none."""
    override: Override | None = None
    """Which duplicates are forwarded all the same; None for none."""

    followed: tuple[Followed, ...] = ()
    """The paths of what is created in its namespace, where changes of that are watched; none where they are not."""
    shared_scope: tuple[int, ...] = ()
    """The places in `scope` of the fields that a request for a created thing has as well."""
    identities: frozenset[str] = frozenset()
    """The names of all entries of `unique` in its namespace, where that is followed."""
    unreadable: frozenset[int] = frozenset()
    """Of a rule for changes, the versions of what entries were that no such request can say."""
    action: Action | None = None
    """What a request does that this matches; None for a create. Any other has the name of the rule it belongs to."""

    @property
    def all_entries(self) -> tuple[Entry, ...]:
        """Its entries, and what they were before changes."""
        return (*self.entries, *[entry.previous for entry in self.entries if entry.previous is not None])

    @property
    def marks_spelling(self) -> bool:
        """Whether the claims of entries keep a hash of their values as they were sent, where retries need no other."""
        return self.verify is not None and not self.retry_window

    @property
    def reads_answer(self) -> bool:
        """Whether something in the body of an answer decides."""
        by_items = self.batch is not None and self.batch.status is not None
        return by_items or (self.outcomes is not None and self.outcomes.reads_body)

    @property
    def tells_retries(self) -> bool:
        """Whether a retry is told from a duplicate, for which requests are compared."""
        return self.key is not None or self.retry_window > 0

    @property
    def needs_body(self) -> bool:
        """Whether a body must be read before the claims are known."""
        reads_json = self.body is not None or self.batch is not None
        reads = reads_json or self.reads_form or self.xml is not None or self.reads_whole_body
        return reads or self.tells_retries or self.upsert_method != ""

    @property
    def answers_before_body(self) -> bool:
        """Whether a client that holds the body back is answered without it, where the claims are held already."""
        return not self.needs_body and self.authorize is None and self.override is None and self.exceptions is None
