# Validates values beyond their types: the [forwarding] table. Pure.

import ipaddress
import re
from collections.abc import Iterator

from gateway.config.problems import Path, Problems, quote
from gateway.config.schema import Config
from gateway.config.schema_rule import RuleConfig
from gateway.config.validate_values import is_token
from gateway.guard.field import Source, parse_alternatives

_HEADER = re.compile(r"[A-Za-z0-9-]+")
_MEANS_SOMETHING_ELSE = {
    "authorization", "connection", "content-length", "content-type", "cookie", "expect", "forwarded", "host",
    "idempotency-key", "keep-alive", "proxy-authorization", "te", "trailer", "traceparent", "transfer-encoding",
    "upgrade", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto",
}  # fmt: skip
"""Headers that would break a request if they contained its id, or whose values must not be logged."""
_RIGHT = 'write one such as "X-Request-Id", or "off"'


def validate_forwarding(config: Config, problems: Problems) -> None:
    """Note every problem of `[forwarding]`, once those of the rules are noted."""
    forwarding = config.forwarding
    for at, text in enumerate(forwarding.trusted_proxies):
        if problems.sound(network := ("forwarding", "trusted_proxies", at)):
            problems.parse(network, _network, text)
    if problems.sound(via := ("forwarding", "via")) and not is_token(forwarding.via):
        problems.add(via, f'{quote(forwarding.via)} is no name that Via can show; write one such as "edge-1", or "off"')
    name = config.server.status_header
    if problems.sound(status := ("server", "status_header")) and name != "off" and not _HEADER.fullmatch(name):
        problems.add(status, f'{quote(name)} is no name of a header; write one such as "Idempotency-Status", or "off"')
    if problems.sound(request_id := ("forwarding", "request_id")) and forwarding.request_id != "off":
        _request_id(forwarding.request_id, request_id, config, problems)


def _network(text: str) -> None:
    """Check that a text is a network. Raises ValueError with a text that shows a valid value."""
    if text == "unix":
        return
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f'{quote(text)} is no network; write one such as "10.0.0.0/8" or "2001:db8::/32", an address, or "unix"'
        ) from None
    try:
        ipaddress.ip_network(text)
    except ValueError:
        alone = f"{text.partition('/')[0]}/{network.max_prefixlen}"
        raise ValueError(
            f'{quote(text)} has bits set behind its prefix; write "{network}" for the network, '
            f'or "{alone}" for this address alone'
        ) from None


def _request_id(name: str, path: Path, config: Config, problems: Problems) -> None:
    if not _HEADER.fullmatch(name):
        problems.add(path, f"{quote(name)} is no name of a header, in letters, digits and hyphens; {_RIGHT}")
    elif name.lower() in _MEANS_SOMETHING_ELSE:
        problems.add(path, f"{quote(name)} says something else about a request; {_RIGHT}")
    else:
        for at, rule in enumerate(config.rules):
            if problems.sound(("rules", at)) and name.lower() in _headers_read(rule):
                problems.add(
                    path,
                    f"{quote(name)} is read by {problems.rule(('rules', at))} as a part of identities, which no log "
                    'may hold; write another one, or "off"',
                )


def _headers_read(rule: RuleConfig) -> Iterator[str]:
    """The names, in lower case, of the headers that a rule reads."""
    for text in (*rule.fields_read, *rule.caller):
        for field in parse_alternatives(text).each:
            if field.source is Source.HEADER:
                yield field.name.lower()
