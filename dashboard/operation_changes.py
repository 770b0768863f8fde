"""What people do with bulk operations and spot checks, on pages and through the API."""

from collections.abc import Mapping
from typing import Any

from catalog import collections, operations, spot_checks
from catalog.filters import ItemFilter
from catalog.operations import Line
from catalog.schema import OperationKind, SpotCheck
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
    # Others may write while this counts.
    with services().database.reading() as session:
        operation = operations.prepare(
            session,
            collections.get(session, collection_id, viewer=viewer()),
            kind=kind,
            filter=filter,
            options=options,
            user=viewer(),
            spot_check_id=spot_check_id,
        )
    current_session().add(operation)
    current_session().flush()
    return _begun(operation.id)


def drawn(collection_id: int, filter: ItemFilter) -> SpotCheck:
    """Draw a spot check."""
    with services().database.reading() as session:
        collection = collections.get(session, collection_id, viewer=viewer())
        check = spot_checks.draw(session, collection, filter, user=viewer())
    current_session().add(check)
    commit()
    return check


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
