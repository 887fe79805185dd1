# What the claims of a create are found by, once the API has said where the created thing lives.

from collections.abc import Callable, Sequence

from gateway.guard.fingerprint import Fingerprinter
from gateway.guard.following import link_key
from gateway.guard.rule import Rule
from gateway.http.paths import named_hosts
from gateway.model import Claim
from gateway.proxy.context import RequestContext


def link_maker(
    rule: Rule, claims: Sequence[Claim], request: RequestContext, fingerprinter: Fingerprinter
) -> Callable[[str | None], bytes | None] | None:
    """Say what claims are found by from a link on, in a function; None where the rule does not follow resources."""
    if not rule.followed:
        return None

    def link_of(link: str | None) -> bytes | None:
        origin = next((claim.link for claim in claims if claim.link is not None), None)
        hosts = named_hosts(request.target, request.exchange.headers) | request.upstream.hosts
        return link_key(rule.followed, rule.namespace, fingerprinter, origin, link, request.target.path, hosts)

    return link_of
