# A change of a resource on its way to the API and back.


from gateway.guard.changes import BegunChange
from gateway.guard.decision import Outcome
from gateway.guard.identity import RequestView
from gateway.guard.operation import Operation
from gateway.proxy.change_ending import ChangeEnding
from gateway.proxy.context import RequestContext
from gateway.proxy.create import CreateHandler
from gateway.proxy.dependencies import HandlerDependencies
from gateway.proxy.forward import deliver


class ChangeSender:
    """Sends changes that hold what they must hold, and settles them."""

    def __init__(self, deps: HandlerDependencies, steps: CreateHandler) -> None:
        """`steps` are those that changes have in common with creates."""
        self._deps = deps
        self._steps = steps

    def __repr__(self) -> str:
        return "ChangeSender()"

    async def send(self, request: RequestContext, view: RequestView, operation: Operation, begun: BegunChange) -> None:
        """Send a change, settle it whatever happens, and pass the answer on once that is written."""
        sender, rule = self._steps.sender, operation.rule
        ending = ChangeEnding(rule, begun, request.target.path)
        # The first claim is that of the resource, of which the API knows nothing.
        result, settled = await sender.send_operation(request, operation, view, ending, operation.claims[1:])
        is_written = await sender.is_written(request.record, settled, result)
        request.record.outcome = ending.said
        is_unknown = ending.outcome is Outcome.FAILED and not rule.failed_is_free
        # What is not written yet is not so yet: what it no longer has is still held.
        is_unknown = is_unknown or (ending.outcome is Outcome.SUCCEEDED and not is_written)
        request.fields = sender.status_fields["unknown" if is_unknown else ending.said]
        await deliver(request, result, self._deps.idle_timeouts)
