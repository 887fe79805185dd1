# Which store is opened, and what is said where its client is not installed.

import sys

import pytest

from gateway.config.postgresql_url import PostgresqlStoreUrl
from gateway.config.valkey_url import ValkeyStoreUrl
from gateway.errors import StoreOpenError
from gateway.process.open_store import _opener


@pytest.mark.parametrize(
    ("url", "client", "module", "extra"),
    [
        (ValkeyStoreUrl((("a", 6379),)), "redis", "valkey", "redis"),
        (PostgresqlStoreUrl("postgresql://a", "postgresql://a"), "psycopg", "postgresql", "postgresql"),
    ],
)
def test_a_store_without_its_client_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
    url: ValkeyStoreUrl | PostgresqlStoreUrl,
    client: str,
    module: str,
    extra: str,
) -> None:
    for name in [*sys.modules]:
        if name.startswith((f"gateway.stores.{module}", f"gateway.stores.open_{module}", client)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(StoreOpenError) as told:
        _opener(url)
    assert f"needs the package {client}" in str(told.value)
    assert str(told.value).endswith(f"install idempotency-gateway[{extra}]")
