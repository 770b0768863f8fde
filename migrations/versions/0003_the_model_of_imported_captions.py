"""The model of imported captions"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


# Not as a batch: on SQLite that makes the table anew, and dropping the old one takes what hangs on its rows.
def upgrade() -> None:
    op.add_column("captions", sa.Column("model", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("captions", "model")
