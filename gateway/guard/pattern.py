# The form that a rule demands of a value: a regular expression of RE2, in time linear in the value's length. Pure.
#
# Python's own `re` searches in circles for some patterns, and all other requests would wait. google-re2 is an extra,
# and imported only for a rule that has a pattern.

from collections.abc import Callable


def parse_pattern(text: str) -> Callable[[str], str]:
    """Make a function that returns a string which the pattern matches as a whole, and raises ValueError for another.

    Raises ValueError with a text that says what would be right, also when google-re2 is not installed.
    """
    if not text:
        raise ValueError('is empty, which only an empty value would match; write one such as "[A-Z]{2}[0-9]{6}"')
    try:
        import re2
    except ImportError:
        raise ValueError(
            "needs google-re2, which is not installed; install the extra, as in "
            "pip install 'idempotency-gateway[pattern]'"
        ) from None
    options = re2.Options()
    options.log_errors = False  # to standard error
    options.never_capture = True
    try:
        matches = re2.compile(text, options).fullmatch
    except re2.error as error:
        reason = error.args[0].decode("utf-8", "replace")
        raise ValueError(
            f'"{text}" is no pattern of RE2 ({reason}), which has no look-around and no back-references; '
            'write one such as "[A-Z]{2}[0-9]{6}"'
        ) from None

    def match(value: str) -> str:
        if matches(value) is None:
            raise ValueError("does not match the rule's pattern")
        return value

    return match
