"""The search index: GIN on PostgreSQL; on SQLite an FTS5 table that triggers keep in step.

Safety: works with the code of the version before; adds nullable or defaulted columns, fills them in batches outside
the revision, and drops only what no running version reads. On SQLite foreign keys are off while it runs.
"""

from __future__ import annotations

from alembic import op

revision = "core_0002"
down_revision = "core_0001"
branch_labels = None
depends_on = None

POSTGRESQL = (
    """CREATE INDEX ix_search_documents_tokens ON search_documents USING gin (tokens) WITH (fastupdate = off)""",
)
SQLITE = (
    """
    CREATE VIRTUAL TABLE search_documents_fts
    USING fts5(tokens, content='', detail=none, columnsize=0, tokenize='ascii')
    """,
    """
    CREATE TRIGGER search_documents_added AFTER INSERT ON search_documents BEGIN
        INSERT INTO search_documents_fts(rowid, tokens) VALUES (new.id, new.tokens);
    END
    """,
    """
    CREATE TRIGGER search_documents_removed AFTER DELETE ON search_documents BEGIN
        INSERT INTO search_documents_fts(search_documents_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens);
    END
    """,
    """
    CREATE TRIGGER search_documents_changed AFTER UPDATE OF tokens ON search_documents BEGIN
        INSERT INTO search_documents_fts(search_documents_fts, rowid, tokens) VALUES ('delete', old.id, old.tokens);
        INSERT INTO search_documents_fts(rowid, tokens) VALUES (new.id, new.tokens);
    END
    """,
)


def upgrade() -> None:
    for statement in POSTGRESQL if op.get_context().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP INDEX ix_search_documents_tokens")
        return
    for name in ("added", "removed", "changed"):
        op.execute(f"DROP TRIGGER search_documents_{name}")
    op.execute("DROP TABLE search_documents_fts")
