# The table of attempts: to have a thing created twice, and to block the create of somebody else.

from campaigns.evasions.message import Attempt
from campaigns.evasions.table import bodies, fields, forms, framing, packs, paths, strangers, values, xml_bodies

SECOND_CREATES: tuple[Attempt, ...] = (
    *paths.ATTEMPTS,
    *bodies.ATTEMPTS,
    *values.ATTEMPTS,
    *fields.ATTEMPTS,
    *forms.ATTEMPTS,
    *xml_bodies.ATTEMPTS,
    *packs.ATTEMPTS,
    *framing.ATTEMPTS,
)
STRANGERS: tuple[Attempt, ...] = strangers.ATTEMPTS
