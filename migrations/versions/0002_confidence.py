"""Confidence beside the score of a model's caption"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("caption_details", schema=None) as batch_op:
        batch_op.add_column(sa.Column("confidence", sa.Float(precision=53), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("caption_details", schema=None) as batch_op:
        batch_op.drop_column("confidence")
