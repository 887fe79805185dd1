# A rule of the rules file: `[[rules]]` (see gateway.config.schema).

from typing import Literal

import msgspec

from gateway.config.schema_answers import AnswerConfig
from gateway.config.schema_authorize import AuthorizeConfig
from gateway.config.schema_changes import ReleaseConfig, UpdateConfig
from gateway.config.schema_duplicates import UpsertConfig
from gateway.config.schema_key import KeyConfig
from gateway.config.schema_outcome import ConditionConfig, OutcomeConfig
from gateway.config.schema_override import OverrideConfig
from gateway.config.schema_verify import DEFAULT_HOLD, VerifyConfig
from gateway.config.table import Duration, Size, Table


class MatchConfig(Table, frozen=True, kw_only=True):
    """`match`: which requests a rule guards."""

    path: str
    """A path template: "/tenants/{tenant}/users", "/index.php/{rest*}"."""
    methods: tuple[str, ...] = ("POST",)
    """Request methods."""
    host: str | None = None
    """A host name, without port; any host when absent."""
    extensions: tuple[str, ...] = ()
    """Suffixes that make no difference to the API: with "json", "/users.json" is "/users"."""
    when: tuple[ConditionConfig, ...] = ()
    """Conditions over fields of the request, all of which must hold; what no rule takes passes."""


JsonType = Literal["string", "integer", "number", "boolean", "null", "array", "object"]
TYPES: tuple[JsonType, ...] = ("string", "integer", "boolean", "null")
"""The default of `types`: each of their values has one spelling, if an integer is within 2^53 - 1."""


class ScopeConfig(Table, frozen=True, kw_only=True):
    """One item of `scope` that is more than the text of a field."""

    field: str
    """Where the value comes from."""
    normalize: tuple[str, ...] = ()
    """Normalisers, applied in order."""


class PreviousConfig(Table, frozen=True, kw_only=True):
    """`previous`: what an entry of `unique` was before a change. What it does not say was as it is now."""

    fields: tuple[str, ...]
    """Where the values came from."""
    normalize: tuple[str, ...]
    """Normalisers, applied in order; [] where there was none."""
    types: tuple[JsonType, ...] | None = None
    """JSON types of values in a body that were taken."""
    empty: Literal["value", "missing"] | None = None
    """What null and an empty string were."""
    name: str | None = None
    """The entry's name."""
    scope: tuple[str | ScopeConfig, ...] | None = None
    """The rule's `scope`; [] where there was none."""
    namespace: str | None = None
    """The rule's `namespace`, or the rule's name where it had none."""

    @property
    def scope_items(self) -> tuple[ScopeConfig, ...] | None:
        """`scope`, with tables for items that are just fields."""
        return None if self.scope is None else _items(self.scope)


class UniqueConfig(Table, frozen=True, kw_only=True):
    """One entry of `unique`: fields that together may exist once."""

    name: str
    """What a caller is told was in conflict."""
    fields: tuple[str, ...]
    """Where the values come from: "body.email", "header.X-Ref", "query.ref", "path.tenant", "cookie.session"."""
    normalize: tuple[str, ...] = ()
    """Normalisers, applied in order to each value that is a string."""
    types: tuple[JsonType, ...] = TYPES
    """JSON types of values in a body that are taken; of another type, a value is unreadable."""
    pattern: str | None = None
    """A regular expression of RE2 that each value must match as a whole, once it is normalised."""
    missing: Literal["skip"] | None = None
    """"skip" claims the other entries when a field of this one is absent; default: as the rule's `missing` says."""
    empty: Literal["value", "missing"] = "value"
    """What null and an empty string are: values as any other, or absent, as NULL is to a unique constraint of SQL."""
    previous: PreviousConfig | None = None
    """What the entry was before a change: claimed, too, so that what was created by it still stops duplicates."""


REFUSED = (
    *("301", "307", "308", "400", "401", "403", "404", "405", "410", "411", "413", "414", "415", "417", "421", "422"),
    *("425", "426", "428", "429", "431", "501"),
)
"""The default of `refused`: what servers say before they work on a request."""


MAX_ITEMS = 500
"""The default of `max_items`."""


class RuleConfig(Table, frozen=True, kw_only=True):
    """`[[rules]]`: one kind of create request."""

    name: str
    """The rule's name in answers, logs and the store."""
    match: MatchConfig
    """Which requests the rule guards."""
    mode: Literal["enforce", "shadow", "off"] = "enforce"
    """Whether it stops creates, or says only what it would have stopped, or is left out."""
    unique: tuple[UniqueConfig, ...] = ()
    """What makes the created thing unique; each entry is claimed on its own."""
    scope: tuple[str | ScopeConfig, ...] = ()
    """Fields that are part of every fingerprint, such as a tenant."""
    each: str | None = None
    """The list of items in the body of a batch, "body.items", or "body"; each item has an identity of its own."""
    max_items: int = MAX_ITEMS
    """How many items a batch may have."""
    item_status: str | None = None
    """Where an answer has the statuses of the items, in their order; they settle each by itself."""
    caller: tuple[str, ...] = ("header.Authorization",)
    """Fields that say who sends a create; a sender who has none of them is anonymous."""
    key: KeyConfig | None = None
    """Takes keys from clients, so that a retry is told from a duplicate."""
    retry: Literal["reject", "replay"] = "reject"
    """What the caller of a create that succeeded gets when it sends it again: 409, or the API's answer once more."""
    retry_window: Duration | None = None
    """For how long the same bytes from the same caller are a retry, when they have no key; default: never."""
    replay_limit: Size = Size(64 * 1024)
    """Bytes of an answer's body that are stored, encrypted, for retries."""
    in_flight: Literal["reject", "wait"] = "reject"
    """What a create meets while another one of its identity is in flight: 409 after a moment, or it waits longer."""
    reject_after: Duration = Duration(0.25)
    """With "reject", how long it waits for that one's end before 409; most end within that time."""
    wait_timeout: Duration = Duration(10)
    """With "wait", how long it waits at most; then 409."""
    max_waiting_clients: int = 100
    """How many creates of the rule wait at once at most; further ones get 409."""
    duplicate: Literal["reject", "accept", "redirect", "upsert"] = "reject"
    """What a duplicate of a created thing gets: 409, a success, 303 to the thing, or it is sent there as a change."""
    accept_status: int | None = None
    """The status of "accept": 200, 202 or 204; default: 200."""
    upsert: UpsertConfig | None = None
    """How "upsert" sends it; default: by PUT."""
    link: Literal["caller", "anyone", "nobody"] = "caller"
    """Who is shown the link to the created thing: the caller who made it, or anyone, or nobody."""
    authorize: AuthorizeConfig | None = None
    """Who may know what exists: those whose credentials the API takes on another path; default: everybody."""
    exceptions: tuple[ConditionConfig, ...] = msgspec.field(default=(), name="except")
    """Conditions over fields of the request, any of which leaves it unguarded."""
    override: OverrideConfig | None = None
    """Which duplicates are forwarded because who sends them wants it so; default: none."""
    answers: dict[str, AnswerConfig] = {}  # noqa: RUF012 msgspec copies it
    """The gateway's own answers in the language of the API, by slug."""
    missing: Literal["reject", "forward"] = "reject"
    """What happens when a field is absent or unreadable: 422, or passed on without a guard."""
    namespace: str | None = None
    """Rules that create the same kind of thing share one; default: the rule's name."""
    resource: str | None = None
    """Where the created thing lives: "header.Location", or a template like "/users/{body.id}" over the answer.

    Shown to the sender of a duplicate; absent, no link is kept or shown."""
    keep: Duration = Duration(24 * 3600)
    """How long an identity is remembered after it was created; or "forever"."""
    unknown_hold: Duration | None = None
    """How long an identity stays blocked when the outcome is unknown; default: as long as `keep`, with `verify` 1h."""
    verify: VerifyConfig | None = None
    """How an unknown outcome is found out: a question to the API."""
    success: tuple[str, ...] = ("2xx", "303")
    """Statuses by which the API says that it created the thing."""
    refused: tuple[str, ...] = REFUSED
    """Statuses by which the API says that it did nothing; "except" and "with Retry-After" narrow an entry."""
    outcome: tuple[OutcomeConfig, ...] = ()
    """What an answer means by what is in it; asked before `success` and `refused`."""
    exists: tuple[str, ...] = ()
    """Statuses by which the API says that the thing exists already."""
    exists_entry: str | None = None
    """The entry of `unique` that `exists` is about; default: the only one."""
    release: tuple[ReleaseConfig, ...] = ()
    """Requests that delete what was created; when they succeed its identities are free."""
    update: tuple[UpdateConfig, ...] = ()
    """Requests that change what was created; when they succeed it has its new identities, and the old ones are free."""
    failed: Literal["unknown", "free"] = "unknown"
    """What any other status leaves behind. "free" only for an API that refuses duplicates itself."""
    body_limit: Size = Size(1024 * 1024)
    """How many bytes of a body are read, as sent and when inflated."""
    spool_limit: Size | None = None
    """How many bytes a larger body may have that goes to a file: a form of several parts, or one known by its bytes."""
    json_types: tuple[str, ...] = ()
    """Media types of bodies that the API reads as JSON, beside `application/json` and `…+json`; "" for none at all."""
    msgpack: bool = False
    """Whether the API takes bodies of MessagePack for those of JSON, so that fields of `body` are read from either."""
    content_encodings: tuple[Literal["gzip", "x-gzip", "deflate"], ...] = ()
    """Content codings that the API undoes, one at a time; a body in another one is refused."""
    method_override: tuple[str, ...] = ()
    """Headers by which the API lets a client change the method, such as "X-HTTP-Method-Override"."""

    @property
    def scope_items(self) -> tuple[ScopeConfig, ...]:
        """`scope`, with tables for items that are just fields."""
        return _items(self.scope)

    @property
    def fields_read(self) -> tuple[str, ...]:
        """The fields of `scope` and `unique`, in the order of the file's reference, and then those they had before."""
        earlier = [entry.previous for entry in self.unique if entry.previous is not None]
        return (
            *(item.field for item in self.scope_items),
            *(text for entry in self.unique for text in entry.fields),
            *(item.field for before in earlier for item in before.scope_items or ()),
            *(text for before in earlier for text in before.fields),
        )

    @property
    def hold(self) -> Duration:
        """`unknown_hold`, or its default."""
        if self.unknown_hold is not None:
            return self.unknown_hold
        return self.keep if self.verify is None else min(self.keep, DEFAULT_HOLD)


def _items(scope: tuple[str | ScopeConfig, ...]) -> tuple[ScopeConfig, ...]:
    return tuple([ScopeConfig(field=item) if isinstance(item, str) else item for item in scope])
