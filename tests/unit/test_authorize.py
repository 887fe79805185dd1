from http import HTTPStatus

from gateway.guard.authorize import Verdict, judge


def test_only_a_success_allows_and_only_401_and_403_refuse() -> None:
    """Others, 407 of a proxy and 404 that may hide a missing permission among them, say neither."""
    verdicts = {status.value: judge(status) for status in HTTPStatus if status >= 200}
    assert {status for status, verdict in verdicts.items() if verdict is Verdict.REFUSED} == {401, 403}
    allowed = {status for status, verdict in verdicts.items() if verdict is Verdict.ALLOWED}
    assert allowed == {status for status in verdicts if status < 300}
    assert verdicts[404] is verdicts[407] is verdicts[302] is verdicts[503] is Verdict.UNCLEAR
