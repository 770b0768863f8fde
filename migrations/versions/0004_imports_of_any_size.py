"""Uploads in parts, reports of imports, near-duplicates, references and rights"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


# Columns are added in place: see the revision before this one.
def upgrade() -> None:
    op.add_column("images", sa.Column("dhash", sa.BigInteger(), nullable=True))
    op.add_column("images", sa.Column("stored", sa.Boolean(), nullable=False, server_default=sa.true()))
    for name in ("training_prohibited", "twins_kept"):
        op.add_column("items", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("items", sa.Column("reference", sa.Text(), nullable=True))
    _create_uploads()
    _create_upload_parts()
    _create_imported_files()


def downgrade() -> None:
    op.drop_table("imported_files")
    op.drop_table("upload_parts")
    op.drop_table("uploads")
    for name in ("reference", "twins_kept", "training_prohibited"):
        op.drop_column("items", name)
    for name in ("stored", "dhash"):
        op.drop_column("images", name)


def _create_uploads() -> None:
    op.create_table(
        "uploads",
        _id(),
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "receiving",
                "waiting",
                "imported",
                "expired",
                name="uploadstate",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("lease_expires", sa.Float(precision=53), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_uploads_job_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        sa.UniqueConstraint("key", name=op.f("uq_uploads_key")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_uploads_job_id"), "uploads", ["job_id"])
    op.create_index(op.f("ix_uploads_state_id"), "uploads", ["state", "id"])


def _create_upload_parts() -> None:
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_upload_parts_upload_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("upload_id", "offset", name=op.f("pk_upload_parts")),
    )
    op.create_index(op.f("ix_upload_parts_sha256"), "upload_parts", ["sha256"])


def _create_imported_files() -> None:
    op.create_table(
        "imported_files",
        _id(),
        sa.Column("job_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("upload_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("stored", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("item_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_imported_files_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name=op.f("fk_imported_files_upload_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_imported_files_item_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imported_files")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_imported_files_job_id_stored_id"), "imported_files", ["job_id", "stored", "id"])
    op.create_index(op.f("ix_imported_files_job_id_id"), "imported_files", ["job_id", "id"])
    op.create_index(op.f("ix_imported_files_upload_id"), "imported_files", ["upload_id"])
    op.create_index(op.f("ix_imported_files_item_id"), "imported_files", ["item_id"])


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)
