# Validates values beyond their types: all tables except the rules. Pure.

from gateway.config.endpoints import TcpAddress, UnixAddress, is_local, parse_listen
from gateway.config.problems import Problems, quote
from gateway.config.schema import AdminConfig, Config
from gateway.config.table import Size
from gateway.config.units import format_size
from gateway.config.validate_answers import validate_answers, validate_cors
from gateway.config.validate_forwarding import validate_forwarding
from gateway.config.validate_rules import validate_rules
from gateway.config.validate_store import validate_store
from gateway.config.validate_traces import validate_traces
from gateway.config.validate_upstreams import validate_upstreams
from gateway.config.validate_values import counts, file_names, timeouts
from gateway.guard.fingerprint import MIN_SECRET

NO_TOKEN = 'has characters that no header can carry; "openssl rand -hex 32" prints one that fits'  # noqa: S105 a text
_EVERY_HOST = {"0.0.0.0", "::"}  # noqa: S104 - recognised here, not listened on


def validate(config: Config, problems: Problems) -> None:
    """Note every problem of values that have the right type; skip values with a noted problem."""
    timeouts(config.server, ("server",), problems)
    counts(config.server, ("server",), problems)
    if config.server.spool_folder == "" and problems.sound(path := ("server", "spool_folder")):
        problems.add(path, 'is empty; write the path of a directory, such as "/var/spool/gateway"')
    if config.log.audit_file == "" and problems.sound(path := ("log", "audit_file")):
        problems.add(path, 'is empty; write the path of a file, such as "/var/log/gateway/audit.log"')
    if config.server.tls is not None:
        file_names(config.server.tls, ("certificate", "key", "client_ca"), ("server", "tls"), problems)
    timeouts(config.store, ("store",), problems)
    counts(config.store, ("store",), problems)
    _listeners(config, problems)
    validate_upstreams(config, problems)
    _secret("fingerprint", "key", config.fingerprint.key, config.fingerprint.key_file, problems)
    _secret("admin", "token", config.admin.token, config.admin.token_file, problems)
    if config.admin.token is not None and problems.sound(("admin", "token")) and not can_be_token(config.admin.token):
        problems.add(("admin", "token"), NO_TOKEN)
    validate_store(config, problems)
    validate_rules(config.rules, problems)
    _buffered(config, problems)
    _spooled(config, problems)
    validate_forwarding(config, problems)
    validate_answers(config, problems)
    validate_cors(config, problems)
    validate_traces(config, problems)


def _listeners(config: Config, problems: Problems) -> None:
    public_path, admin_path = ("server", "listen"), ("admin", "listen")
    public = admin = None
    if problems.sound(public_path):
        public = problems.parse(public_path, parse_listen, config.server.listen)
    if problems.sound(admin_path) and config.admin.listen != "off":
        admin = problems.parse(admin_path, _parse_admin, config.admin.listen)
    if public is not None and admin is not None and _collide(public, admin):
        problems.add(
            admin_path,
            f"{quote(config.admin.listen)} is taken by server.listen ({quote(config.server.listen)}); "
            'write an address of its own, such as "127.0.0.1:9901", or "off"',
        )
    elif admin is not None and not is_local(admin) and not _has_token(config.admin, problems):
        problems.add(
            admin_path,
            f"other machines may reach {quote(config.admin.listen)}, so token or token_file must say what they have to "
            'show: "openssl rand -hex 32" prints a token; or write "127.0.0.1:9901", or a unix socket',
        )


def _has_token(admin: AdminConfig, problems: Problems) -> bool:
    """Whether one is named; also in a way that is a problem by itself."""
    is_named = admin.token is not None or admin.token_file is not None
    return is_named or not problems.sound(("admin", "token")) or not problems.sound(("admin", "token_file"))


def can_be_token(text: str) -> bool:
    """Whether a token can stand in a header field as it is."""
    return text == text.strip() and all(" " <= character <= "~" for character in text)


def _parse_admin(text: str) -> TcpAddress | UnixAddress:
    try:
        return parse_listen(text)
    except ValueError as error:
        raise ValueError(f'{error}, or "off"') from error


def _collide(one: TcpAddress | UnixAddress, other: TcpAddress | UnixAddress) -> bool:
    if isinstance(one, TcpAddress) and isinstance(other, TcpAddress):
        hosts = {one.host.lower(), other.host.lower()}
        return one.port == other.port != 0 and (len(hosts) == 1 or not _EVERY_HOST.isdisjoint(hosts))
    return one == other


def _buffered(config: Config, problems: Problems) -> None:
    """Note a limit that is too small for two bodies of a rule."""
    path = ("server", "max_buffered")
    largest = max(config.rules, key=lambda rule: rule.body_limit, default=None)
    if largest is None or 2 * largest.body_limit <= config.server.max_buffered or not problems.sound(path):
        return
    if problems.sound(("rules", config.rules.index(largest), "body_limit")):
        problems.add(
            path,
            f"is less than two bodies of rule {quote(largest.name)}, whose body_limit is "
            f'{format_size(largest.body_limit)}; write "{format_size(Size(2 * largest.body_limit))}" or more',
        )


def _spooled(config: Config, problems: Problems) -> None:
    """Note a limit that is too small for one body of a rule."""
    path = ("server", "max_spooled")
    largest = max(config.rules, key=lambda rule: rule.spool_limit or 0, default=None)
    if largest is None or largest.spool_limit is None or not problems.sound(path):
        return
    is_sound = problems.sound(("rules", config.rules.index(largest), "spool_limit"))
    if is_sound and largest.spool_limit > config.server.max_spooled:
        limit = format_size(largest.spool_limit)
        problems.add(
            path,
            f"is less than one body of rule {quote(largest.name)}, whose spool_limit is {limit}; "
            f'write "{limit}" or more',
        )


def _secret(table: str, name: str, value: str | None, file: str | None, problems: Problems) -> None:
    """Note what is wrong with a secret and the file that may hold it."""
    value_path, file_path = (table, name), (table, f"{name}_file")
    if value is not None and problems.sound(value_path) and len(value) < MIN_SECRET:
        problems.add(
            value_path,
            f'is shorter than {MIN_SECRET} characters; "openssl rand -hex 32" prints one that is long enough',
        )
    if file is not None and problems.sound(file_path) and not file:
        problems.add(file_path, f'is empty; write the path of a file, such as "gateway.{name}"')
    if value is not None and file is not None:
        problems.add(file_path, f"stands beside {name}; keep one of the two")
