"""The loop: splits, datasets, golden sets, training runs, evaluations and promotions"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

IDENTITY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SPLITS = ("train", "validation", "test", "golden")
TABLES = (
    "promotions",
    "impacts",
    "comparisons",
    "evaluations",
    "training_runs",
    "golden_references",
    "golden_items",
    "golden_sets",
    "dataset_images",
    "datasets",
)


# Columns are added in place: see revision 0003.
def upgrade() -> None:
    op.add_column("images", sa.Column("split", _word("split", SPLITS), nullable=True))
    op.add_column("workers", sa.Column("queue", sa.String(32), nullable=False, server_default="caption"))
    op.create_index("ix_tombstones_sha256", "tombstones", ["sha256"])
    _create_datasets()
    _create_dataset_images()
    _create_golden_sets()
    _create_golden_items()
    _create_golden_references()
    _create_training_runs()
    _create_evaluations()
    _create_comparisons()
    _create_impacts()
    _create_promotions()


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
    op.drop_index("ix_tombstones_sha256", "tombstones")
    op.drop_column("workers", "queue")
    op.drop_column("images", "split")


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


def _create_datasets() -> None:
    op.create_table(
        "datasets",
        _id(),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("kind", _word("datasetkind", ("curated", "golden"), checked=True), nullable=False),
        sa.Column("collection_id", IDENTITY, nullable=True),
        sa.Column("user_id", IDENTITY, nullable=True),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("guidelines", sa.Text(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("captions", sa.Integer(), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        _moment("created_at"),
        _to("datasets", "collection_id", "collections", "SET NULL"),
        _to("datasets", "user_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_datasets_name_version")),
        sqlite_autoincrement=True,
    )
    _index("datasets", "collection_id", "id")
    _index("datasets", "user_id")


def _create_dataset_images() -> None:
    op.create_table(
        "dataset_images",
        sa.Column("dataset_id", IDENTITY, nullable=False),
        sa.Column("image_id", IDENTITY, nullable=False),
        sa.Column("item_id", IDENTITY, nullable=True),
        sa.Column("split", _word("split", SPLITS, checked=True), nullable=False),
        _to("dataset_images", "dataset_id", "datasets", "CASCADE"),
        _to("dataset_images", "image_id", "images", None),
        _to("dataset_images", "item_id", "items", "SET NULL"),
        sa.PrimaryKeyConstraint("dataset_id", "image_id", name=op.f("pk_dataset_images")),
    )
    _index("dataset_images", "image_id")
    _index("dataset_images", "item_id")


def _create_golden_sets() -> None:
    op.create_table(
        "golden_sets",
        _id(),
        sa.Column("collection_id", IDENTITY, nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("language", sa.String(35), nullable=False),
        sa.Column("references_each", sa.Integer(), nullable=False),
        sa.Column("user_id", IDENTITY, nullable=True),
        sa.Column("dataset_id", IDENTITY, nullable=True),
        _moment("created_at"),
        _to("golden_sets", "collection_id", "collections", "CASCADE"),
        _to("golden_sets", "user_id", "users", "SET NULL"),
        _to("golden_sets", "dataset_id", "datasets", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_golden_sets")),
        sa.UniqueConstraint("collection_id", "name", name=op.f("uq_golden_sets_collection_id_name")),
        sqlite_autoincrement=True,
    )
    _index("golden_sets", "dataset_id")
    _index("golden_sets", "user_id")


def _create_golden_items() -> None:
    op.create_table(
        "golden_items",
        sa.Column("golden_set_id", IDENTITY, nullable=False),
        sa.Column("item_id", IDENTITY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        _to("golden_items", "golden_set_id", "golden_sets", "CASCADE"),
        _to("golden_items", "item_id", "items", "CASCADE"),
        sa.PrimaryKeyConstraint("golden_set_id", "item_id", name=op.f("pk_golden_items")),
    )
    _index("golden_items", "item_id")


def _create_golden_references() -> None:
    op.create_table(
        "golden_references",
        _id(),
        sa.Column("golden_set_id", IDENTITY, nullable=False),
        sa.Column("item_id", IDENTITY, nullable=False),
        sa.Column("user_id", IDENTITY, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.ForeignKeyConstraint(
            ["golden_set_id", "item_id"],
            ["golden_items.golden_set_id", "golden_items.item_id"],
            name=op.f("fk_golden_references_golden_set_id_item_id"),
            ondelete="CASCADE",
        ),
        _to("golden_references", "user_id", "users", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_golden_references")),
        sa.UniqueConstraint(
            "golden_set_id",
            "item_id",
            "user_id",
            name=op.f("uq_golden_references_golden_set_id_item_id_user_id"),
        ),
        sqlite_autoincrement=True,
    )
    _index("golden_references", "user_id")


def _create_training_runs() -> None:
    op.create_table(
        "training_runs",
        sa.Column("job_id", IDENTITY, nullable=False),
        sa.Column("dataset_id", IDENTITY, nullable=True),
        sa.Column("checkpoint_id", IDENTITY, nullable=True),
        sa.Column("line", sa.String(255), nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("epochs", sa.JSON(), nullable=False),
        sa.Column("losses", sa.JSON(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("files_sha256", sa.String(64), nullable=True),
        _to("training_runs", "job_id", "jobs", "CASCADE"),
        _to("training_runs", "dataset_id", "datasets", None),
        _to("training_runs", "checkpoint_id", "checkpoints", None),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_training_runs")),
    )
    _index("training_runs", "checkpoint_id")
    _index("training_runs", "dataset_id")
    _index("training_runs", "line")


def _create_evaluations() -> None:
    op.create_table(
        "evaluations",
        _id(),
        sa.Column("checkpoint_id", IDENTITY, nullable=False),
        sa.Column("dataset_id", IDENTITY, nullable=False),
        sa.Column("split", _word("split", SPLITS, checked=True), nullable=False),
        sa.Column("job_id", IDENTITY, nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("predictions_sha256", sa.String(64), nullable=False),
        _moment("created_at"),
        _to("evaluations", "checkpoint_id", "checkpoints", None),
        _to("evaluations", "dataset_id", "datasets", "CASCADE"),
        _to("evaluations", "job_id", "jobs", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint(
            "checkpoint_id", "dataset_id", "split", name=op.f("uq_evaluations_checkpoint_id_dataset_id_split")
        ),
        sqlite_autoincrement=True,
    )
    _index("evaluations", "dataset_id", "split")
    _index("evaluations", "job_id")


def _create_comparisons() -> None:
    op.create_table(
        "comparisons",
        _id(),
        sa.Column("dataset_id", IDENTITY, nullable=False),
        sa.Column("split", _word("split", SPLITS, checked=True), nullable=False),
        sa.Column("candidate_id", IDENTITY, nullable=False),
        sa.Column("against_id", IDENTITY, nullable=False),
        sa.Column("job_id", IDENTITY, nullable=True),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        _moment("created_at"),
        _to("comparisons", "dataset_id", "datasets", "CASCADE"),
        _to("comparisons", "candidate_id", "checkpoints", None),
        _to("comparisons", "against_id", "checkpoints", None),
        _to("comparisons", "job_id", "jobs", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
        sqlite_autoincrement=True,
    )
    _index("comparisons", "against_id")
    _index("comparisons", "candidate_id", "against_id")
    _index("comparisons", "dataset_id")
    _index("comparisons", "job_id")


def _create_impacts() -> None:
    op.create_table(
        "impacts",
        _id(),
        sa.Column("collection_id", IDENTITY, nullable=False),
        sa.Column("candidate_id", IDENTITY, nullable=False),
        sa.Column("against_id", IDENTITY, nullable=False),
        sa.Column("job_id", IDENTITY, nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        _moment("created_at"),
        _to("impacts", "collection_id", "collections", "CASCADE"),
        _to("impacts", "candidate_id", "checkpoints", None),
        _to("impacts", "against_id", "checkpoints", None),
        _to("impacts", "job_id", "jobs", "SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_impacts")),
        sqlite_autoincrement=True,
    )
    _index("impacts", "against_id")
    _index("impacts", "candidate_id", "against_id")
    _index("impacts", "collection_id")
    _index("impacts", "job_id")


def _create_promotions() -> None:
    op.create_table(
        "promotions",
        _id(),
        sa.Column("checkpoint_id", IDENTITY, nullable=False),
        sa.Column("previous_id", IDENTITY, nullable=True),
        sa.Column("user_id", IDENTITY, nullable=True),
        sa.Column("job_id", IDENTITY, nullable=True),
        sa.Column("verdict", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("rolls_back_id", IDENTITY, nullable=True),
        _moment("created_at"),
        _to("promotions", "checkpoint_id", "checkpoints", None),
        _to("promotions", "previous_id", "checkpoints", None),
        _to("promotions", "user_id", "users", "SET NULL"),
        _to("promotions", "job_id", "jobs", "SET NULL"),
        _to("promotions", "rolls_back_id", "promotions", None),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_promotions")),
        sa.UniqueConstraint("rolls_back_id", name=op.f("uq_promotions_rolls_back_id")),
        sqlite_autoincrement=True,
    )
    _index("promotions", "checkpoint_id")
    _index("promotions", "job_id")
    _index("promotions", "previous_id")
    _index("promotions", "user_id")
