# Validates values beyond their types: the upstreams and the routes to them. Pure.

from collections.abc import Mapping, Sequence

from gateway.config.endpoints import is_authority, is_host, parse_upstream
from gateway.config.problems import Path, Problems, nearest, quote
from gateway.config.schema import Config
from gateway.config.schema_upstreams import RouteConfig, UpstreamConfig, UpstreamTlsConfig
from gateway.config.validate_values import counts, file_names, name_of, timeouts
from gateway.guard.routes import Route, parse_route


def validate_upstreams(config: Config, problems: Problems) -> None:
    """Note every problem of `[upstream]`, `[upstreams]` and `[[routes]]`, each on its own and then together."""
    if config.upstream is not None:
        _upstream(config.upstream, ("upstream",), problems)
    for name, upstream in config.upstreams.items():
        path = ("upstreams", name)
        name_of(name, path, problems)
        _upstream(upstream, path, problems)
    routes = [_route(route, ("routes", at), config.upstreams, problems) for at, route in enumerate(config.routes)]
    _same_routes(routes, problems)
    _unused(config, routes, problems)


def _upstream(upstream: UpstreamConfig, path: Path, problems: Problems) -> None:
    timeouts(upstream, path, problems)
    counts(upstream, path, problems)
    _urls(upstream, path, problems)
    if problems.sound(place := (*path, "host")) and not (
        upstream.host in {"keep", "upstream"} or is_authority(upstream.host)
    ):
        problems.add(
            place, f'{quote(upstream.host)} is no host name; write "keep", "upstream", or one such as "api.example.com"'
        )
    if upstream.tls is not None:
        _tls(upstream.tls, upstream, path, problems)


def _urls(upstream: UpstreamConfig, path: Path, problems: Problems) -> None:
    one, several = (*path, "url"), (*path, "urls")
    if not problems.sound(one, several):
        return
    if upstream.url is not None:
        problems.parse(one, parse_upstream, upstream.url)
        if problems.written(several):
            problems.add(several, "stands beside url; keep one of the two")
        return
    if not upstream.urls:
        if problems.written(several):
            problems.add(several, 'names no URL; write urls = ["http://127.0.0.1:9001", "http://127.0.0.1:9002"]')
        else:
            problems.add(one, 'is missing; write url = "http://127.0.0.1:9000", or urls and a list of several')
        return
    addresses = []
    for at, url in enumerate(upstream.urls):
        address = problems.parse((*several, at), parse_upstream, url)
        if address is not None and address in addresses:
            problems.add((*several, at), "is the same place as one before it; write each once")
        addresses.append(address)


def _tls(tls: UpstreamTlsConfig, upstream: UpstreamConfig, upstream_path: Path, problems: Problems) -> None:
    path = (*upstream_path, "tls")
    file_names(tls, ("ca", "certificate", "key"), path, problems)
    for given, missing in (("certificate", "key"), ("key", "certificate")):
        if getattr(tls, given) is not None and getattr(tls, missing) is None:
            problems.add((*path, missing), f"is missing beside {given}; a client certificate needs both")
    place = (*path, "server_name")
    if tls.server_name is not None and problems.sound(place) and not is_host(tls.server_name):
        problems.add(
            place, f'{quote(tls.server_name)} is no host name; write one such as "api.example.com", without a port'
        )
    if tls.insecure_skip_verify and tls.ca is not None and problems.sound(path):
        problems.add((*path, "ca"), "has no effect beside insecure_skip_verify = true; keep one of the two")
    urls = ((*upstream_path, "url"), (*upstream_path, "urls"))
    if problems.sound(path, *urls) and not any(parse_upstream(url).tls for url in upstream.all_urls):
        problems.add(
            path, 'has no effect, because no URL here starts with "https://"; write one that does, or leave this out'
        )


def _route(route: RouteConfig, path: Path, upstreams: Mapping[str, UpstreamConfig], problems: Problems) -> Route | None:
    """Validate one route; return it parsed, None when it is invalid."""
    place = (*path, "upstream")
    if problems.sound(place, ("upstreams",)) and route.upstream not in upstreams:
        problems.add(place, _unknown_upstream(route.upstream, list(upstreams)))
    host_path, path_path = (*path, "host"), (*path, "path")
    if route.host is not None and problems.sound(host_path) and not is_host(route.host):
        problems.add(
            host_path,
            f'{quote(route.host)} is no host name; write one such as "api.example.com", without port or wildcard',
        )
    if not problems.sound(host_path, path_path):
        return None
    return problems.parse(path_path, lambda text: parse_route(route.host, text), route.path)


def _unknown_upstream(wanted: str, known: Sequence[str]) -> str:
    if not known:
        return f"there is no [upstreams.{wanted}]; write that table, or leave the route out: [upstream] needs none"
    meant = nearest(wanted, known)
    hint = f'did you mean "{meant}"?' if meant else f"known are {', '.join(known)}"
    return f"there is no upstream {quote(wanted)}; {hint}"


def _same_routes(routes: Sequence[Route | None], problems: Problems) -> None:
    first: dict[Route, int] = {}
    for at, route in enumerate(routes):
        if route is None or not problems.sound(("routes", at)):
            continue
        if route in first:
            problems.add(
                ("routes", at),
                f"takes the same host and path as routes[{first[route]}]; case makes no difference, nor does a "
                "closing slash. Keep one of the two",
            )
        first.setdefault(route, at)


def _unused(config: Config, routes: Sequence[Route | None], problems: Problems) -> None:
    """Note upstreams that no route leads to."""
    if config.upstream is None and not config.upstreams and problems.sound(("upstream",), ("upstreams",)):
        problems.add(("upstream",), 'is missing; write [upstream] with url = "http://127.0.0.1:9000"')
    if not problems.sound(("routes",)):
        return
    led_to = {route.upstream for route in config.routes}
    for unused in [known for known in config.upstreams if known not in led_to]:
        if problems.sound(path := ("upstreams", unused)):
            problems.add(path, f"no route leads here; write [[routes]] with upstream = {quote(unused)}")
    everything = Route(None, ())
    if config.upstream is not None and everything in routes and problems.sound(("upstream",)):
        problems.add(
            ("upstream",),
            f"is never used, because routes[{routes.index(everything)}] takes every request that no other route takes; "
            "leave out one of the two",
        )
