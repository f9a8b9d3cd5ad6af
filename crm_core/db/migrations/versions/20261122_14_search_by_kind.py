"""The search index on PostgreSQL, one for each kind of record: it tells how common a text is among records of the kind.

Safety: the code of the version before answers as before, but its searches read all documents until it is replaced. Nothing
changes on SQLite.
"""

from __future__ import annotations

from alembic import op

revision = "core_0014"
down_revision = "core_0013"
branch_labels = None
depends_on = None

KINDS = ("Approval", "Contact", "Customer")


def upgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    for kind in KINDS:
        op.execute(
            f"CREATE INDEX ix_search_documents_of_{kind.lower()} ON search_documents"
            f" USING gin ((CASE WHEN kind = '{kind}' THEN tokens END)) WITH (fastupdate = off)"
        )
    op.execute("DROP INDEX ix_search_documents_tokens")
    others = ", ".join(f"'{kind}'" for kind in KINDS)
    op.execute(
        "CREATE INDEX ix_search_documents_of_others ON search_documents"
        f" USING gin (tokens) WITH (fastupdate = off) WHERE kind NOT IN ({others})"
    )
    op.execute("ANALYZE search_documents")


def downgrade() -> None:
    if op.get_context().dialect.name != "postgresql":
        return
    for kind in (*KINDS, "others"):
        op.execute(f"DROP INDEX ix_search_documents_of_{kind.lower()}")
    op.execute(
        "CREATE INDEX ix_search_documents_tokens ON search_documents USING gin (tokens) WITH (fastupdate = off)"
    )
