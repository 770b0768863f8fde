"""The review room: orders of the queue, operations on many captions, spot checks, questions to the network"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ORIGINS = ("model", "written", "edited", "accepted unchanged", "bulk", "imported")
REASONS = ("subject", "attribute", "number", "place", "wording")
KINDS = ("accept", "reject", "replace", "prepend", "append", "assign", "undo")
RANDOM = {"sqlite": "abs(random() % 2147483648)", "postgresql": "floor(random() * 2147483648)::integer"}
# As in `catalog.captions` at this revision.
DOUBT = """
UPDATE items SET doubt = 1 - (
    SELECT min(caption_details.confidence) FROM caption_details
    JOIN captions ON captions.id = caption_details.caption_id
    WHERE captions.item_id = items.id AND captions.kind = 'caption' AND captions.state = 'candidate'
        AND captions.origin = 'model'
)
WHERE review_state = 'pending' AND EXISTS (
    SELECT 1 FROM caption_details JOIN captions ON captions.id = caption_details.caption_id
    WHERE captions.item_id = items.id AND captions.kind = 'caption' AND captions.state = 'candidate'
        AND captions.origin = 'model' AND caption_details.confidence IS NOT NULL
)
"""


# Columns are added in place: see revision 0003.
def upgrade() -> None:
    op.add_column("users", sa.Column("keys", sa.JSON(), nullable=False, server_default="{}"))
    op.add_column("collections", sa.Column("avoid", sa.Text(), nullable=False, server_default=""))
    op.add_column("captions", sa.Column("position", sa.Integer(), nullable=True))
    op.add_column("items", sa.Column("doubt", sa.Float(precision=53), nullable=False, server_default="0"))
    op.add_column("items", sa.Column("shuffle", sa.Integer(), nullable=False, server_default="0"))
    op.execute(sa.text(f"UPDATE items SET shuffle = {RANDOM[op.get_bind().dialect.name]}"))
    op.execute(sa.text(DOUBT))
    for name in ("doubt", "shuffle"):
        op.create_index(f"ix_items_collection_id_{name}_id", "items", ["collection_id", name, "id"])
    op.add_column("history", sa.Column("origin_before", _word("origin", ORIGINS), nullable=True))
    op.add_column("history", sa.Column("origin_after", _word("origin", ORIGINS), nullable=True))
    op.add_column("history", sa.Column("reason", _word("reason", REASONS), nullable=True))
    op.add_column("history", sa.Column("operation_id", IDENTITY, nullable=True))
    op.create_index("ix_history_operation_id_item_id", "history", ["operation_id", "item_id"])
    _create_spot_checks()
    _create_operations()
    _create_operation_items()
    _create_redecodings()


def downgrade() -> None:
    for table in ("redecodings", "operation_items", "operations", "spot_checks"):
        op.drop_table(table)
    op.drop_index("ix_history_operation_id_item_id", "history")
    for name in ("operation_id", "reason", "origin_after", "origin_before"):
        op.drop_column("history", name)
    for name in ("shuffle", "doubt"):
        op.drop_index(f"ix_items_collection_id_{name}_id", "items")
        op.drop_column("items", name)
    op.drop_column("captions", "position")
    op.drop_column("collections", "avoid")
    op.drop_column("users", "keys")


def _word(name: str, words: tuple[str, ...], *, checked: bool = False) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=checked, length=32)


def _id() -> sa.Column[int]:
    return sa.Column("id", IDENTITY, nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _to(table: str, column: str, other: str, ondelete: str | None) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete=ondelete)


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _create_spot_checks() -> None:
    op.create_table(
        "spot_checks",
        _id(),
        sa.Column("collection_id", IDENTITY, nullable=False),
        sa.Column("user_id", IDENTITY, nullable=True),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("captions", sa.JSON(), nullable=False),
        sa.Column("verdicts", sa.JSON(), nullable=False),
        _moment("created_at"),
        _moment("finished_at", nullable=True),
        _to("spot_checks", "collection_id", "collections", "CASCADE"),
        _to("spot_checks", "user_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_spot_checks")),
        sqlite_autoincrement=True,
    )
    _index("spot_checks", "collection_id", "id")
    _index("spot_checks", "user_id")


def _create_operations() -> None:
    op.create_table(
        "operations",
        _id(),
        sa.Column("collection_id", IDENTITY, nullable=False),
        sa.Column("user_id", IDENTITY, nullable=True),
        sa.Column("kind", _word("operationkind", KINDS, checked=True), nullable=False),
        sa.Column(
            "state", _word("operationstate", ("running", "done", "failed"), checked=True), nullable=False
        ),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("spot_check_id", IDENTITY, nullable=True),
        sa.Column("undoes_id", IDENTITY, nullable=True),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("cursor", IDENTITY, nullable=False),
        sa.Column("last_item_id", IDENTITY, nullable=False),
        sa.Column("lease_expires", sa.Float(precision=53), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        _moment("created_at"),
        _moment("finished_at", nullable=True),
        _to("operations", "collection_id", "collections", "CASCADE"),
        _to("operations", "user_id", "users", "SET NULL"),
        _to("operations", "spot_check_id", "spot_checks", "SET NULL"),
        _to("operations", "undoes_id", "operations", "CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operations")),
        sa.UniqueConstraint("undoes_id", name=op.f("uq_operations_undoes_id")),
        sqlite_autoincrement=True,
    )
    _index("operations", "collection_id", "id")
    _index("operations", "state", "id")
    _index("operations", "spot_check_id")
    _index("operations", "user_id")


def _create_operation_items() -> None:
    op.create_table(
        "operation_items",
        sa.Column("operation_id", IDENTITY, nullable=False),
        sa.Column("item_id", IDENTITY, nullable=False),
        sa.Column("assignee_id", IDENTITY, nullable=True),
        _to("operation_items", "operation_id", "operations", "CASCADE"),
        _to("operation_items", "item_id", "items", "CASCADE"),
        _to("operation_items", "assignee_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("operation_id", "item_id", name=op.f("pk_operation_items")),
    )
    _index("operation_items", "assignee_id")
    _index("operation_items", "item_id")


def _create_redecodings() -> None:
    states = ("waiting", "claimed", "answered", "failed")
    op.create_table(
        "redecodings",
        _id(),
        sa.Column("item_id", IDENTITY, nullable=False),
        sa.Column("user_id", IDENTITY, nullable=False),
        sa.Column("checkpoint_id", IDENTITY, nullable=False),
        sa.Column(
            "kind", _word("redecodingkind", ("replacements", "continuation"), checked=True), nullable=False
        ),
        sa.Column("state", _word("redecodingstate", states, checked=True), nullable=False),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_expires", sa.Float(precision=53), nullable=True),
        _moment("created_at"),
        _to("redecodings", "item_id", "items", "CASCADE"),
        _to("redecodings", "user_id", "users", "CASCADE"),
        _to("redecodings", "checkpoint_id", "checkpoints", None),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redecodings")),
        sqlite_autoincrement=True,
    )
    _index("redecodings", "checkpoint_id")
    _index("redecodings", "item_id")
    _index("redecodings", "state", "id")
    _index("redecodings", "user_id")
