# The table of attempts: to have a thing created twice, and to block the create of somebody else.

from campaigns.evasions.message import Attempt
from campaigns.evasions.table import (
    batches,
    bodies,
    conditions,
    encoded_paths,
    fields,
    forms,
    framing,
    packs,
    paths,
    spooled,
    strangers,
    values,
    xml_bodies,
)

SECOND_CREATES: tuple[Attempt, ...] = (
    *paths.ATTEMPTS,
    *encoded_paths.ATTEMPTS,
    *bodies.ATTEMPTS,
    *values.ATTEMPTS,
    *fields.ATTEMPTS,
    *conditions.ATTEMPTS,
    *forms.ATTEMPTS,
    *spooled.ATTEMPTS,
    *xml_bodies.ATTEMPTS,
    *packs.ATTEMPTS,
    *batches.ATTEMPTS,
    *framing.ATTEMPTS,
)
STRANGERS: tuple[Attempt, ...] = strangers.ATTEMPTS
