"""Promotions: which checkpoint captions from now on, judged by the gate, and the way back.

Whatever changes the active checkpoint locks all of them first, so there is always one and never a second.
Jobs that were created keep the checkpoint that they name.
"""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from catalog import gate, job_events
from catalog.errors import Conflict, InvalidInput, NotAllowed
from catalog.pages import PAGE_SIZE, Listing, listing
from catalog.schema import Checkpoint, CheckpointState, Job, Promotion, Role, Severity, User
from catalog.text import storable
from catalog.verdicts import Answer, Verdict

REASON_LENGTH = 1000  # characters


@dataclass(frozen=True)
class Change:
    """A promotion with the names of what and who is in it; `who` is None for the command line."""

    promotion: Promotion
    checkpoint: str
    previous: str | None
    who: str | None


def promote(
    session: Session,
    checkpoint: Checkpoint,
    *,
    user: User | None,
    reason: str | None = None,
    job: Job | None = None,
) -> Promotion:
    """Make a checkpoint the active one, in a session that writes; the one before it is retired.

    Raises NotAllowed for people who are no admins, and Conflict for the active checkpoint itself and, without
    a reason, for one that the gate does not call better.
    """
    _require_admin(user)
    why = _checked(reason)
    active = _lock(session)
    if active and active.id == checkpoint.id:
        raise Conflict(f"{checkpoint.name} is the active checkpoint already")
    said = gate.verdict(session, checkpoint, active) if active else None
    if said and said.answer is not Answer.BETTER and not why:
        raise Conflict(f"{said.text}; give a reason to promote {checkpoint.name} all the same")
    return _put(session, checkpoint, active, user=user, job=job, verdict=said, reason=why)


def promote_if_better(session: Session, checkpoint: Checkpoint, job: Job) -> Promotion | None:
    """Promote what a train job made, where the gate calls it better; the job's log tells what came of it.

    Done twice, it changes nothing more. None where the checkpoint stays a candidate.
    """
    active = _lock(session)
    if active is None or active.id == checkpoint.id:
        return None
    user = session.get(User, job.user_id) if job.user_id else None
    said = gate.verdict(session, checkpoint, active)
    told = gate.verdict(session, checkpoint, active, log_of=job).text
    refusal = told if said.answer is not Answer.BETTER else None
    if user and user.role is not Role.ADMIN:
        refusal = f"{told}; {user.name} is no admin, so an admin has to promote it"
    if refusal:
        text = f"{checkpoint.name} is not promoted: {refusal}"
        job_events.append_once(session, job.id, "not promoted", text, severity=Severity.WARNING)
        return None
    promotion = _put(session, checkpoint, active, user=user, job=job, verdict=said, reason=None)
    job_events.append(session, job.id, "promoted", f"{checkpoint.name} is promoted: {told}", user=user)
    return promotion


def roll_back(session: Session, *, user: User | None, reason: str | None = None) -> Promotion:
    """Take the latest promotion back that is still in force; the next time the one before it, and so on.

    Raises NotAllowed for people who are no admins, and Conflict where there is nothing to go back to.
    """
    _require_admin(user)
    why = _checked(reason)
    active = _lock(session)
    latest = _in_force(session)
    if latest is None or latest.previous_id is None:
        raise Conflict("no promotion is left to take back; promote the checkpoint that you want instead")
    previous = session.get_one(Checkpoint, latest.previous_id)
    return _put(session, previous, active, user=user, reason=why, rolls_back=latest)


def way_back(session: Session) -> Checkpoint | None:
    """What `roll_back` would make the active checkpoint; None where there is nothing to go back to."""
    latest = _in_force(session)
    return session.scalar(select(Checkpoint).where(Checkpoint.id == latest.previous_id)) if latest else None


def history(session: Session, *, after: int | None = None, limit: int = PAGE_SIZE) -> Listing[Change]:
    """What became the active checkpoint, newest first."""
    previous = aliased(Checkpoint)
    query = (
        select(Promotion, Checkpoint.name, previous.name, User.name)
        .join(Checkpoint, Checkpoint.id == Promotion.checkpoint_id)
        .outerjoin(previous, previous.id == Promotion.previous_id)
        .outerjoin(User, User.id == Promotion.user_id)
        .order_by(Promotion.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        query = query.where(Promotion.id < after)
    rows = [Change(*row) for row in session.execute(query)]
    return listing(rows, limit, lambda change: change.promotion.id)


def _in_force(session: Session) -> Promotion | None:
    """The latest promotion that nobody has taken back."""
    taken_back = select(Promotion.rolls_back_id).where(Promotion.rolls_back_id.is_not(None))
    standing = select(Promotion).where(Promotion.rolls_back_id.is_(None), Promotion.id.not_in(taken_back))
    return session.scalar(standing.order_by(Promotion.id.desc()).limit(1))


def _lock(session: Session) -> Checkpoint | None:
    """Hold off everybody else who changes the active checkpoint, and return it as it then is.

    All rows are locked: a lock on the active one alone would let whoever waited for it find none. Their
    descriptions, which may be megabytes each, stay where they are.
    """
    session.execute(select(Checkpoint.id).order_by(Checkpoint.id).with_for_update(key_share=True)).all()
    active = select(Checkpoint).where(Checkpoint.state == CheckpointState.ACTIVE)
    return session.scalar(active.execution_options(populate_existing=True))


def _put(
    session: Session,
    checkpoint: Checkpoint,
    active: Checkpoint | None,
    *,
    user: User | None,
    reason: str | None,
    job: Job | None = None,
    verdict: Verdict | None = None,
    rolls_back: Promotion | None = None,
) -> Promotion:
    # It may have been read before the lock, and what is set to what it seems to be is not written.
    session.refresh(checkpoint, ["state"])
    if active:
        active.state = CheckpointState.RETIRED
    checkpoint.state = CheckpointState.ACTIVE
    promotion = Promotion(
        checkpoint_id=checkpoint.id,
        previous_id=active.id if active else None,
        user_id=user.id if user else None,
        job_id=job.id if job else None,
        verdict=verdict.to_json() if verdict else {},
        reason=reason,
        rolls_back_id=rolls_back.id if rolls_back else None,
    )
    session.add(promotion)
    session.flush()
    return promotion


def _require_admin(user: User | None) -> None:
    if user and user.role is not Role.ADMIN:
        raise NotAllowed("only admins decide which checkpoint captions; ask one of them")


def _checked(reason: str | None) -> str | None:
    text = storable(reason or "", keep="\n").strip()
    if len(text) > REASON_LENGTH:
        raise InvalidInput(f"the reason has {len(text):,} characters; {REASON_LENGTH:,} are enough")
    return text or None
