# Tables of the rules file about the gateway's own answers: their language, and which pages may read them.

from gateway.config.table import Table


class AnswerConfig(Table, frozen=True, kw_only=True):
    """`[rules.answers.SLUG]`: one of the gateway's own answers, in the language of the API."""

    status: int | None = None
    """The status, from 200 to 599; default: the problem's own."""
    content_type: str | None = None
    """The media type of the body; default: application/problem+json."""
    headers: dict[str, str] = {}  # noqa: RUF012 msgspec copies it
    """More header fields."""
    body: str | None = None
    """The body, with members of the problem in braces: "{detail}"; default: the problem."""


class CorsConfig(Table, frozen=True, kw_only=True):
    """`[cors]`: whose pages may read the gateway's own answers."""

    origins: tuple[str, ...]
    """Origins as browsers write them: "https://app.example.com"; or "*" alone, for any, without credentials."""
