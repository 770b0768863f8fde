"""The tables. DESIGN's words are the names; what rows may do lives in the services beside this module."""

import secrets
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Enum,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    select,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

Identity = BigInteger().with_variant(Integer, "sqlite")
# SQLite would give the id of a deleted row to the next one. Addresses in browsers, history and tokens of
# workers go on speaking of the old row.
NEVER_REUSE_IDS = {"sqlite_autoincrement": True}


class Moment(TypeDecorator[datetime]):
    """A point in time, always UTC and always aware, also on SQLite, which forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _shuffled() -> int:
    return secrets.randbelow(1 << 31)


def utc_now() -> datetime:
    """The time of this process, for what people read; leases use the database's clock."""
    return datetime.now(UTC)


class Role(StrEnum):
    ADMIN = "admin"
    REVIEWER = "reviewer"


class Scope(StrEnum):
    """How far an API token reaches: looking, or changing things as well."""

    READ = "read"
    WRITE = "write"


class ReviewState(StrEnum):
    UNCAPTIONED = "uncaptioned"
    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class CaptionKind(StrEnum):
    CAPTION = "caption"
    ALT = "alt"
    DESCRIPTION = "description"


class CaptionState(StrEnum):
    CANDIDATE = "candidate"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Origin(StrEnum):
    MODEL = "model"
    WRITTEN = "written"
    EDITED = "edited"
    ACCEPTED_UNCHANGED = "accepted unchanged"
    BULK = "bulk"
    IMPORTED = "imported"


class JobKind(StrEnum):
    IMPORT = "import"
    CAPTION = "caption"
    TRAIN = "train"
    EXPORT = "export"


class JobState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    DONE = "done"
    FAILED = "failed"


class ChunkState(StrEnum):
    WAITING = "waiting"
    CLAIMED = "claimed"
    FINISHED = "finished"


class JobItemState(StrEnum):
    QUEUED = "queued"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class OperationKind(StrEnum):
    """What a bulk operation does to the captions, or to the items, that it was started for."""

    ACCEPT = "accept"
    REJECT = "reject"
    REPLACE = "replace"
    PREPEND = "prepend"
    APPEND = "append"
    ASSIGN = "assign"
    UNDO = "undo"


class OperationState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class RedecodingKind(StrEnum):
    """What a reviewer asks of the network: other words for a place, or the rest behind typed words."""

    REPLACEMENTS = "replacements"
    CONTINUATION = "continuation"


class RedecodingState(StrEnum):
    WAITING = "waiting"
    CLAIMED = "claimed"
    ANSWERED = "answered"
    FAILED = "failed"


class Reason(StrEnum):
    """What was wrong with a caption that a person corrected."""

    SUBJECT = "subject"
    ATTRIBUTE = "attribute"
    NUMBER = "number"
    PLACE = "place"
    WORDING = "wording"


class Severity(StrEnum):
    """How much an event of a job matters to the people who read about it."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class UploadState(StrEnum):
    RECEIVING = "receiving"
    WAITING = "waiting"
    IMPORTED = "imported"
    EXPIRED = "expired"


class CheckpointState(StrEnum):
    CANDIDATE = "candidate"
    ACTIVE = "active"
    RETIRED = "retired"


class Split(StrEnum):
    """What an image is for: learned from, choosing the epoch, scoring, or scoring with blind references."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    GOLDEN = "golden"


class DatasetKind(StrEnum):
    """Accepted captions of a query, or references that were written without seeing model text."""

    CURATED = "curated"
    GOLDEN = "golden"


def word(enum: type[StrEnum], column: str = "") -> Enum:
    """A column of one of the enum's words, stored as text so that SQLite and PostgreSQL agree.

    `column` names the check where a table has two columns of the same words.
    """
    return Enum(
        enum,
        native_enum=False,
        length=32,
        create_constraint=True,
        name=column or enum.__name__.lower(),
        values_callable=lambda words: [member.value for member in words],
    )


def unchecked(enum: type[StrEnum]) -> Enum:
    """As `word`, without the check by the database."""
    column = word(enum)
    column.create_constraint = False
    return column


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: Moment,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        str: Text,
    }


class User(Base):
    """Somebody who logs in. `fs_uniquifier` signs sessions: a new value logs the user out everywhere.

    `keys` holds the keys of the review page that the user changed, by the name of what they do.
    """

    __tablename__ = "users"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    role: Mapped[Role] = mapped_column(word(Role))
    password: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    fs_uniquifier: Mapped[str] = mapped_column(String(64), unique=True)
    keys: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class LoginLink(Base):
    """A link that logs its user in once. Only the hash of its secret is kept."""

    __tablename__ = "login_links"

    secret_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]


class ApiToken(Base):
    """A token with which a user's scripts call the REST API. Only the hash of its secret is kept."""

    __tablename__ = "api_tokens"
    __table_args__ = (Index(None, "user_id", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    secret_hash: Mapped[str] = mapped_column(String(64), unique=True)
    scope: Mapped[Scope] = mapped_column(word(Scope))
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    user: Mapped[User] = relationship(lazy="raise")


class Collection(Base):
    """A named set of items that somebody imported, with guidelines for reviewers.

    `avoid` holds the words that its captions should not have, a line each.
    """

    __tablename__ = "collections"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    guidelines: Mapped[str] = mapped_column(default="")
    avoid: Mapped[str] = mapped_column(default="", server_default="")
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Membership(Base):
    """A user who may see a collection. Admins see all of them without one."""

    __tablename__ = "memberships"

    collection_id: Mapped[int] = mapped_column(
        ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class Image(Base):
    """One stored picture. `sha256` is the key of the original's blob, `rendition` that of its small JPEG.

    Where the original was not `stored`, items refer to the files that hold it. `dhash` is the signed 64-bit
    difference hash by which near-duplicates are found; None for pictures from before there was one. `split`
    is assigned when the image is first frozen or drawn for a golden set; only test images become golden, and
    are released where their set is given up.
    """

    __tablename__ = "images"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    rendition: Mapped[str] = mapped_column(String(64), index=True)
    format: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int]
    height: Mapped[int]
    pages: Mapped[int] = mapped_column(default=1)
    dhash: Mapped[int | None] = mapped_column(BigInteger)
    stored: Mapped[bool] = mapped_column(default=True, server_default=true())
    split: Mapped[Split | None] = mapped_column(unchecked(Split))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Item(Base):
    """One imported file in one collection. Locking its row locks its captions.

    `training_prohibited` is what its file says of training (plus:DataMining). `reference` is the absolute
    path of a file that was left where it is. `twins_kept`: somebody saw its near-duplicates and keeps it.
    `doubt`, 0..1, is 1 less the lowest confidence among the model's captions that wait, and 0 where none is
    known; like `review_state` it is derived. `shuffle` is its place in the random order. Until
    `review_lease_expires`, in seconds of the database's clock, one reviewer has the item to review.
    """

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("collection_id", "path", "image_id"),
        Index(None, "collection_id", "position", "id"),
        Index(None, "collection_id", "review_state", "position", "id"),
        Index(None, "collection_id", "doubt", "id"),
        Index(None, "collection_id", "shuffle", "id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    path: Mapped[str]
    external_id: Mapped[str | None]
    rights: Mapped[str | None]
    training_prohibited: Mapped[bool] = mapped_column(default=False, server_default=false())
    reference: Mapped[str | None]
    twins_kept: Mapped[bool] = mapped_column(default=False, server_default=false())
    details: Mapped[dict[str, Any]] = mapped_column("metadata", default=dict)
    position: Mapped[int]
    flagged: Mapped[bool] = mapped_column(default=False)
    review_state: Mapped[ReviewState] = mapped_column(word(ReviewState), default=ReviewState.UNCAPTIONED)
    doubt: Mapped[float] = mapped_column(Float(53), default=0.0, server_default="0")
    shuffle: Mapped[int] = mapped_column(default=_shuffled, server_default="0")
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    review_lease_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    review_lease_expires: Mapped[float | None] = mapped_column(Float(53))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)

    image: Mapped[Image] = relationship(lazy="raise")
    collection: Mapped[Collection] = relationship(lazy="raise")


class Caption(Base):
    """One text of one item. `version` rises with every change and guards against stale edits.

    `model` names the captioner of an imported model caption, with its version; ours are checkpoints.
    `position` is its place among the captions of its item; those that nobody has ordered stand behind, by id.
    """

    __tablename__ = "captions"
    # One caption an item and job, whatever is delivered or claimed twice.
    __table_args__ = (UniqueConstraint("item_id", "job_id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"))
    text: Mapped[str]
    language: Mapped[str] = mapped_column(String(35), default="en")
    kind: Mapped[CaptionKind] = mapped_column(word(CaptionKind), default=CaptionKind.CAPTION)
    state: Mapped[CaptionState] = mapped_column(word(CaptionState), default=CaptionState.CANDIDATE)
    origin: Mapped[Origin] = mapped_column(word(Origin))
    version: Mapped[int] = mapped_column(default=1)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    model: Mapped[str | None]
    position: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class CaptionDetail(Base):
    """What the network said about one model caption; never loaded in lists.

    `model_text` keeps the network's words when people edit the caption. `score` is that of
    `model.prediction`; `confidence`, 0..1, the share of words that people would have chosen, where the
    checkpoint is calibrated. `tokens` and `token_probabilities` run in step. `attention` is a square grid of
    bytes a token, one after the other, row by row, each with 255 where the network looked most.
    """

    __tablename__ = "caption_details"

    caption_id: Mapped[int] = mapped_column(ForeignKey("captions.id", ondelete="CASCADE"), primary_key=True)
    model_text: Mapped[str]
    score: Mapped[float] = mapped_column(Float(53))
    confidence: Mapped[float | None] = mapped_column(Float(53))
    tokens: Mapped[list[Any]]
    token_probabilities: Mapped[list[Any]]
    alternatives: Mapped[list[Any]]
    attention: Mapped[bytes | None] = mapped_column(LargeBinary)


class Draft(Base):
    """A text that a reviewer has not decided on yet: one row an item and user."""

    __tablename__ = "drafts"

    item_id: Mapped[int] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    text: Mapped[str]
    caption_id: Mapped[int | None] = mapped_column(ForeignKey("captions.id", ondelete="SET NULL"), index=True)
    caption_version: Mapped[int | None]
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class HistoryEntry(Base):
    """One change of a caption: who or which job, when, from what, to what. Never changed itself.

    `operation_id` names the bulk operation that it was a part of, and `reason` what was wrong before.
    """

    __tablename__ = "history"
    __table_args__ = (Index(None, "operation_id", "item_id"),)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    # No foreign key: the entry outlives a caption that a later job replaced.
    caption_id: Mapped[int] = mapped_column(Identity)
    action: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    version: Mapped[int]
    text_before: Mapped[str | None]
    text_after: Mapped[str | None]
    state_before: Mapped[CaptionState | None] = mapped_column(word(CaptionState, "state_before"))
    state_after: Mapped[CaptionState | None] = mapped_column(word(CaptionState, "state_after"))
    # No constraints on these four: SQLite cannot add them to a table that is there.
    origin_before: Mapped[Origin | None] = mapped_column(unchecked(Origin))
    origin_after: Mapped[Origin | None] = mapped_column(unchecked(Origin))
    reason: Mapped[Reason | None] = mapped_column(unchecked(Reason))
    operation_id: Mapped[int | None] = mapped_column(Identity)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Operation(Base):
    """Something done to many captions at once: started by a person, done step by step, undone as a whole.

    It goes through the items of `filter` (the words of an address) in the order of their ids, from behind
    `cursor` to `last_item_id`. `options` are those of its kind. A process has it to itself until
    `lease_expires`, in seconds of the database's clock. An UNDO takes back the operation `undoes_id`.
    """

    __tablename__ = "operations"
    __table_args__ = (Index(None, "collection_id", "id"), Index(None, "state", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    kind: Mapped[OperationKind] = mapped_column(word(OperationKind))
    state: Mapped[OperationState] = mapped_column(word(OperationState), default=OperationState.RUNNING)
    filter: Mapped[dict[str, Any]] = mapped_column(default=dict)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    spot_check_id: Mapped[int | None] = mapped_column(
        ForeignKey("spot_checks.id", ondelete="SET NULL"), index=True
    )
    undoes_id: Mapped[int | None] = mapped_column(
        ForeignKey("operations.id", ondelete="CASCADE"), unique=True
    )
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[int] = mapped_column(Identity, default=0)
    last_item_id: Mapped[int] = mapped_column(Identity, default=0)
    lease_expires: Mapped[float | None] = mapped_column(Float(53))
    error: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]


class OperationItem(Base):
    """Whose an item was before an operation assigned it."""

    __tablename__ = "operation_items"

    operation_id: Mapped[int] = mapped_column(
        ForeignKey("operations.id", ondelete="CASCADE"), primary_key=True
    )
    item_id: Mapped[int] = mapped_column(
        ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)


class SpotCheck(Base):
    """A random sample of the captions that somebody wants to accept unread, and what they found in it.

    `captions` lists the captions drawn, each with its item, version and text; `verdicts` says of each id
    whether it is right. `total` is the number of captions from which they were drawn.
    """

    __tablename__ = "spot_checks"
    __table_args__ = (Index(None, "collection_id", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    filter: Mapped[dict[str, Any]]
    total: Mapped[int]
    captions: Mapped[list[Any]]
    verdicts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    finished_at: Mapped[datetime | None]


class Redecoding(Base):
    """A question to the network about one photo, answered by a worker while the reviewer waits.

    `question` holds what was typed, `answer` what the network makes of it. The worker that claimed it has it
    until `lease_expires`, in seconds of the database's clock, and raises `attempts`.
    """

    __tablename__ = "redecodings"
    __table_args__ = (Index(None, "state", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    kind: Mapped[RedecodingKind] = mapped_column(word(RedecodingKind))
    state: Mapped[RedecodingState] = mapped_column(word(RedecodingState), default=RedecodingState.WAITING)
    question: Mapped[dict[str, Any]]
    answer: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    lease_expires: Mapped[float | None] = mapped_column(Float(53))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Checkpoint(Base):
    """A trained captioner, held as two blobs. `description` is its checkpoint.json."""

    __tablename__ = "checkpoints"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    state: Mapped[CheckpointState] = mapped_column(word(CheckpointState), default=CheckpointState.CANDIDATE)
    weights_sha256: Mapped[str] = mapped_column(String(64))
    description_sha256: Mapped[str] = mapped_column(String(64))
    description: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Job(Base):
    """Work that a user started. The counters change in the transaction that records the work.

    `turn` rises when the job is served: of equal priority, the one with the lowest is next. `protocol` is
    what a worker has to know to do the job. `running_since` is when it last began or went on, in seconds of
    the database's clock. `paused_because` says why the system paused it; None when a person did.
    """

    __tablename__ = "jobs"
    __table_args__ = (Index(None, "state", "priority", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    kind: Mapped[JobKind] = mapped_column(word(JobKind))
    state: Mapped[JobState] = mapped_column(word(JobState), default=JobState.QUEUED)
    collection_id: Mapped[int | None] = mapped_column(
        ForeignKey("collections.id", ondelete="CASCADE"), index=True
    )
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    priority: Mapped[int] = mapped_column(default=0)
    turn: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    protocol: Mapped[int] = mapped_column(default=1, server_default="1")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    paused_because: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    started_at: Mapped[datetime | None]
    running_since: Mapped[float | None] = mapped_column(Float(53))
    finished_at: Mapped[datetime | None]


class JobEvent(Base):
    """Something that happened to a job: a line of its timeline and of its log. Never changed itself.

    `worker` is a name, for the row of a worker may go; `details` is what only engineers want to read.
    """

    __tablename__ = "job_events"
    __table_args__ = (Index(None, "job_id", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    action: Mapped[str] = mapped_column(String(32))
    severity: Mapped[Severity] = mapped_column(word(Severity), default=Severity.INFO)
    text: Mapped[str]
    details: Mapped[str | None]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    worker: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Upload(Base):
    """A file on its way into a collection, received in parts until all its bytes are here.

    `key` is what its address holds. `lease_expires` is in seconds of the database's clock: until then the
    process that imports it has it to itself. `attempts` counts those since the last report of a file.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "state", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    key: Mapped[str] = mapped_column(String(32), unique=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    path: Mapped[str]
    length: Mapped[int] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, default=0)
    state: Mapped[UploadState] = mapped_column(word(UploadState), default=UploadState.RECEIVING)
    lease_expires: Mapped[float | None] = mapped_column(Float(53))
    attempts: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class UploadPart(Base):
    """Bytes of an upload from `offset` on, kept as a blob."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[int] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), index=True)


class ImportedFile(Base):
    """What became of one file of an import: `status` says it in a word, `detail` in a sentence."""

    __tablename__ = "imported_files"
    __table_args__ = (Index(None, "job_id", "stored", "id"), Index(None, "job_id", "id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    upload_id: Mapped[int | None] = mapped_column(ForeignKey("uploads.id", ondelete="SET NULL"), index=True)
    path: Mapped[str]
    status: Mapped[str] = mapped_column(String(32))
    stored: Mapped[bool]
    detail: Mapped[str]
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id", ondelete="SET NULL"), index=True)


class Worker(Base):
    """One working process on one device. `heartbeat` is in seconds of the database's clock.

    `stopped` tells one that was ended in order from one that died. `trouble` is what keeps it from working.
    `queue` is what it works at: "caption" or "train".
    """

    __tablename__ = "workers"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(255), unique=True)
    device: Mapped[str] = mapped_column(String(64))
    queue: Mapped[str] = mapped_column(String(32), default="caption", server_default="caption")
    version: Mapped[str] = mapped_column(String(32))
    protocol: Mapped[int] = mapped_column(default=1, server_default="1")
    host: Mapped[str] = mapped_column(String(255), default="", server_default="")
    heartbeat: Mapped[float] = mapped_column(Float(53))
    stopped: Mapped[bool] = mapped_column(default=False, server_default=false())
    trouble: Mapped[str | None]
    started_at: Mapped[datetime] = mapped_column(default=utc_now)


class Chunk(Base):
    """A slice of a job that one worker claims at a time.

    `token` rises with every claim and fences off the worker that lost the chunk; `lease_expires` and
    `finished_at` are in seconds of the database's clock. After a crash the chunk goes `one_by_one`, to find
    the guilty item.
    """

    __tablename__ = "chunks"
    __table_args__ = (Index(None, "state", "job_id", "number"), Index(None, "job_id", "finished_at"))

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[ChunkState] = mapped_column(word(ChunkState), default=ChunkState.WAITING)
    token: Mapped[int] = mapped_column(default=0)
    worker_id: Mapped[int | None] = mapped_column(ForeignKey("workers.id", ondelete="SET NULL"), index=True)
    lease_expires: Mapped[float | None] = mapped_column(Float(53))
    one_by_one: Mapped[bool] = mapped_column(default=False)
    finished_at: Mapped[float | None] = mapped_column(Float(53))


class JobItem(Base):
    """One unit of a job. `in_hand` is committed before a one-by-one attempt and found again after a crash."""

    __tablename__ = "job_items"
    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "chunk_number"], ["chunks.job_id", "chunks.number"], ondelete="CASCADE"
        ),
        Index(None, "job_id", "chunk_number"),
        Index(None, "job_id", "state", "item_id"),
    )

    job_id: Mapped[int] = mapped_column(Identity, primary_key=True)
    item_id: Mapped[int] = mapped_column(
        ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    chunk_number: Mapped[int]
    state: Mapped[JobItemState] = mapped_column(word(JobItemState), default=JobItemState.QUEUED)
    in_hand: Mapped[bool] = mapped_column(default=False)
    found_in_hand: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]


class Dataset(Base):
    """One frozen, immutable version of a dataset. Its manifest is a blob; `catalog.manifests` tells its form.

    Versions of one name count from 1. Equal content gives an equal `manifest_sha256`. `filter` is the query
    (the words of an address) that was frozen, `card` what there is to say of it. Datasets outlive their
    collection.
    """

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        Index(None, "collection_id", "id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    version: Mapped[int]
    kind: Mapped[DatasetKind] = mapped_column(word(DatasetKind))
    collection_id: Mapped[int | None] = mapped_column(ForeignKey("collections.id", ondelete="SET NULL"))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    filter: Mapped[dict[str, Any]] = mapped_column(default=dict)
    guidelines: Mapped[str] = mapped_column(default="")
    manifest_sha256: Mapped[str] = mapped_column(String(64))
    images: Mapped[int] = mapped_column(default=0)
    captions: Mapped[int] = mapped_column(default=0)
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class DatasetImage(Base):
    """An image that a dataset holds, in which split: while this row is there, its blobs stay.

    `item_id` says which item it was frozen from, for as long as that is there.
    """

    __tablename__ = "dataset_images"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True, index=True)
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id", ondelete="SET NULL"), index=True)
    split: Mapped[Split] = mapped_column(word(Split))


class GoldenSet(Base):
    """Items drawn at random that people caption blind, without seeing model text; frozen once all are done.

    `references_each` is how many captions an image gets, each by another person. `dataset_id` is what the
    set was frozen as.
    """

    __tablename__ = "golden_sets"
    __table_args__ = (UniqueConstraint("collection_id", "name"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    language: Mapped[str] = mapped_column(String(35), default="en")
    references_each: Mapped[int] = mapped_column(default=1)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("datasets.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class GoldenItem(Base):
    """An item of a golden set. `position` is the order in which the items were drawn."""

    __tablename__ = "golden_items"

    golden_set_id: Mapped[int] = mapped_column(
        ForeignKey("golden_sets.id", ondelete="CASCADE"), primary_key=True
    )
    item_id: Mapped[int] = mapped_column(
        ForeignKey("items.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    position: Mapped[int]


class GoldenReference(Base):
    """A caption that somebody wrote blind for an item of a golden set: one a person and item."""

    __tablename__ = "golden_references"
    __table_args__ = (
        ForeignKeyConstraint(
            ["golden_set_id", "item_id"],
            ["golden_items.golden_set_id", "golden_items.item_id"],
            ondelete="CASCADE",
        ),
        UniqueConstraint("golden_set_id", "item_id", "user_id"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    golden_set_id: Mapped[int] = mapped_column(Identity)
    item_id: Mapped[int] = mapped_column(Identity)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    text: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)


class TrainingRun(Base):
    """What a train job is about and how far it is; the job holds state, priority and the base checkpoint.

    The job's `checkpoint_id` is what training starts from, None where it starts from scratch; its one chunk
    (number 0) carries lease and token. Where `dataset_id` is None nothing is trained: the job measures
    `checkpoint_id`, which otherwise is what came of the training. Of one `line`, the name of the dataset,
    only one run is at work at a time. `stage` is a word for people. `progress` is the latest that the child
    process said, `epochs` a row an epoch, `losses` pairs of update and loss, `data` what was trained on, in
    counts. `files_sha256` is a tar of the training folder (state, log, TensorBoard's files), from which any
    host goes on.
    """

    __tablename__ = "training_runs"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    dataset_id: Mapped[int | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    checkpoint_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    line: Mapped[str] = mapped_column(String(255), index=True)
    stage: Mapped[str] = mapped_column(String(32), default="waiting")
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)
    epochs: Mapped[list[Any]] = mapped_column(default=list)
    losses: Mapped[list[Any]] = mapped_column(default=list)
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    files_sha256: Mapped[str | None] = mapped_column(String(64))


class Evaluation(Base):
    """The scores of a checkpoint on a split of a dataset.

    `predictions_sha256` is a blob: a line of JSON an image, what the checkpoint wrote and what that scored.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("checkpoint_id", "dataset_id", "split"),
        Index(None, "dataset_id", "split"),
        NEVER_REUSE_IDS,
    )

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"))
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    split: Mapped[Split] = mapped_column(word(Split))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    result: Mapped[dict[str, Any]]
    predictions_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Comparison(Base):
    """A checkpoint compared with another one on the same images: each is a look at that set.

    `result` holds the differences (`candidate` less `against`) of each score with bounds and p. `look` counts
    the looks at these photos, this one among them: at all versions of the set, and sets that share some.
    """

    __tablename__ = "comparisons"
    __table_args__ = (Index(None, "candidate_id", "against_id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), index=True)
    split: Mapped[Split] = mapped_column(word(Split))
    candidate_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"))
    against_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    look: Mapped[int]
    result: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Impact(Base):
    """What promoting a checkpoint would change in a collection: how many captions nobody has reviewed."""

    __tablename__ = "impacts"
    __table_args__ = (Index(None, "candidate_id", "against_id"), NEVER_REUSE_IDS)

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collections.id", ondelete="CASCADE"), index=True)
    candidate_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"))
    against_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    result: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Promotion(Base):
    """That a checkpoint became the active one: when, by whom, in whose place, on which verdict.

    `reason` is given where a person overrode the gate. A rollback is a promotion that names what it takes
    back in `rolls_back_id`.
    """

    __tablename__ = "promotions"
    __table_args__ = NEVER_REUSE_IDS

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    checkpoint_id: Mapped[int] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    previous_id: Mapped[int | None] = mapped_column(ForeignKey("checkpoints.id"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    verdict: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str | None]
    rolls_back_id: Mapped[int | None] = mapped_column(ForeignKey("promotions.id"), unique=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


class Tombstone(Base):
    """What is left of something deleted: that it was here, who removed it, and when; of images, the split."""

    __tablename__ = "tombstones"

    id: Mapped[int] = mapped_column(Identity, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    name: Mapped[str]
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(default=utc_now)


# Kept by triggers (migration 0005), and so no part of backups. The rows of a collection and state add up to
# its number of items: whoever changes items adds a row, and nobody waits for anybody.
ITEM_COUNTS = Table(
    "item_counts",
    MetaData(),
    Column("collection_id", Identity),
    Column("review_state", word(ReviewState)),
    Column("items", BigInteger),
)
DERIVED_TABLES = (ITEM_COUNTS.name, "item_texts")


def is_derived(table: str) -> bool:
    """Whether a table, or the SQLite search index that it is a part of, is kept by triggers."""
    return table.startswith(DERIVED_TABLES)


# Everything that rows keep as blobs, a query each; none gives NULL.
BLOB_KEYS: tuple[Select[str], ...] = (
    select(Image.sha256).where(Image.stored),
    select(Image.rendition),
    select(Checkpoint.weights_sha256),
    select(Checkpoint.description_sha256),
    select(UploadPart.sha256),
    select(Dataset.manifest_sha256),
    cast("Select[str]", select(TrainingRun.files_sha256).where(TrainingRun.files_sha256.is_not(None))),
    select(Evaluation.predictions_sha256),
)
