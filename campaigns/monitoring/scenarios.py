# What befalls a gateway, and which alerts that must fire: those, and no other.

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from campaigns.monitoring import creates, surroundings
from campaigns.monitoring.healthy import healthy
from campaigns.monitoring.stage import Stage


@dataclass(frozen=True)
class Scenario:
    """Something that goes wrong, or does not."""

    name: str
    fires: Collection[str]
    play: Callable[[Stage], Awaitable[None]]
    is_long: bool = False
    """Whether it lasts as long as all others together, most of it waiting."""


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("healthy", (), healthy, is_long=True),
    Scenario(
        "certificate-of-3-days",
        ("GatewayCertificateExpires", "GatewayCertificateExpiresSoon"),
        surroundings.certificate_of(3),
        is_long=True,
    ),
    Scenario(
        "certificate-of-10-days", ("GatewayCertificateExpiresSoon",), surroundings.certificate_of(10), is_long=True
    ),
    Scenario("store-lost", ("GatewayStoreEmpty",), creates.store_lost, is_long=True),
    Scenario("conflicts-rise", ("GatewayConflictsRising",), creates.conflicts_rise),
    Scenario("conflicts-from-the-start", ("GatewayConflictsRising",), creates.conflicts_from_the_start),
    Scenario("unknown-old", ("GatewayUnknownOld",), creates.unknown_old),
    Scenario("unknown-many", ("GatewayUnknownMany",), creates.unknown_many),
    Scenario("unknown-lapsed", ("GatewayUnknownLapsed",), creates.unknown_lapsed),
    Scenario("verify-unclear", ("GatewayVerifyUnclear",), creates.verify_unclear),
    Scenario("unguarded", ("GatewayUnguardedCreates",), creates.unguarded),
    Scenario(
        "guard-off",
        ("GatewayGuardOff", "GatewayUnguardedCreates", "GatewayStoreFailing", "GatewayStoreFailed"),
        creates.guard_off,
    ),
    Scenario("store-failing", ("GatewayStoreFailing", "GatewayStoreFailed"), creates.store_failing),
    Scenario("store-failed-briefly", ("GatewayStoreFailed",), creates.store_failed_briefly),
    Scenario("died", ("GatewayDied", "GatewayUnknownOld"), creates.died),
    Scenario("down", ("GatewayDown",), surroundings.down),
    Scenario("stopped-loop", ("GatewayLoopLag",), surroundings.stopped_loop),
    Scenario("turned-away", ("GatewayClientsTurnedAway",), surroundings.turned_away),
    Scenario("spool-failing", ("GatewaySpoolFailing",), surroundings.spool_failing),
    Scenario("api-down", ("GatewayUpstreamDown",), surroundings.api_down),
    Scenario("api-partly-down", ("GatewayUpstreamPartlyDown",), surroundings.api_partly_down),
    Scenario("authorize-unclear", ("GatewayAuthorizeUnclear",), creates.authorize_unclear),
    Scenario("reload-refused", ("GatewayReloadRefused",), surroundings.reload_refused),
    Scenario("certificate-refused", ("GatewayCertificateRefused",), surroundings.certificate_refused),
)
