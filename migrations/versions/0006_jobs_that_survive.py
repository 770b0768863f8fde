"""Fair turns, pauses with a reason, events of jobs, and what workers say of themselves"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


# Columns are added in place: see revision 0003.
def upgrade() -> None:
    op.add_column("jobs", sa.Column("turn", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("protocol", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("jobs", sa.Column("paused_because", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("running_since", sa.Float(precision=53), nullable=True))
    op.add_column("workers", sa.Column("protocol", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("workers", sa.Column("host", sa.String(length=255), nullable=False, server_default=""))
    op.add_column("workers", sa.Column("stopped", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("workers", sa.Column("trouble", sa.Text(), nullable=True))
    # None of them is mourned: nobody asked how they ended.
    op.execute(sa.text("UPDATE workers SET stopped = true"))
    op.add_column("chunks", sa.Column("finished_at", sa.Float(precision=53), nullable=True))
    op.create_index("ix_chunks_job_id_finished_at", "chunks", ["job_id", "finished_at"])
    _create_job_events()


def downgrade() -> None:
    op.drop_table("job_events")
    op.drop_index("ix_chunks_job_id_finished_at", "chunks")
    op.drop_column("chunks", "finished_at")
    for name in ("trouble", "stopped", "host", "protocol"):
        op.drop_column("workers", name)
    for name in ("running_since", "paused_because", "protocol", "turn"):
        op.drop_column("jobs", name)


def _create_job_events() -> None:
    identity = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "job_events",
        sa.Column("id", identity, nullable=False),
        sa.Column("job_id", identity, nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column(
            "severity",
            sa.Enum(
                "info",
                "warning",
                "error",
                name="severity",
                native_enum=False,
                create_constraint=True,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=True),
        sa.Column("user_id", identity, nullable=True),
        sa.Column("worker", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_job_events_user_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_events_job_id_id", "job_events", ["job_id", "id"])
    op.create_index("ix_job_events_user_id", "job_events", ["user_id"])
