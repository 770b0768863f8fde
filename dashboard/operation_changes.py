"""What people do with bulk operations, on pages and through the API."""

from collections.abc import Mapping
from typing import Any

from catalog import collections, operations
from catalog.filters import ItemFilter
from catalog.operations import Line
from catalog.schema import OperationKind
from dashboard.security import viewer
from dashboard.services import services
from dashboard.session import commit, current_session


def started(
    collection_id: int,
    *,
    kind: OperationKind,
    filter: ItemFilter,
    options: Mapping[str, Any],
    spot_check_id: int | None,
) -> Line:
    """Start an operation and wake the operator."""
    session = current_session()
    operation = operations.start(
        session,
        collections.get(session, collection_id, viewer=viewer()),
        kind=kind,
        filter=filter,
        options=options,
        user=viewer(),
        spot_check_id=spot_check_id,
    )
    return _begun(operation.id)


def undone(operation_id: int) -> Line:
    """Begin to take an operation back and wake the operator."""
    session = current_session()
    line = operations.get(session, operation_id, viewer=viewer())
    return _begun(operations.undo(session, line.operation, user=viewer()).id)


def _begun(operation_id: int) -> Line:
    line = operations.get(current_session(), operation_id, viewer=viewer())
    commit()
    services().operator.wake()
    return line
