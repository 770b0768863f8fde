"""A search index over captions and counts of items, both kept by triggers; keys for pages of failures"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# SQLite drops the triggers of a table that a batch operation rebuilds: a later revision that rebuilds `items`
# or `captions` has to make them again.

# One row an item: all its captions, and in `scope` the collection and the review state, which is derived as
# in `catalog.captions`.
SQLITE_SEARCH = """
CREATE VIRTUAL TABLE item_texts USING fts5(
    text, scope, prefix = '1 2 3 4',
    tokenize = "unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
)
"""
SQLITE_DOCUMENTS = """
INSERT INTO item_texts (rowid, text, scope)
SELECT items.id, group_concat(captions.text, ' '), 'c' || items.collection_id || ' ' || CASE
    WHEN max(captions.state = 'accepted' AND captions.kind = 'caption') THEN 'accepted'
    WHEN max(captions.state = 'candidate') THEN 'pending'
    WHEN max(captions.state = 'rejected' AND captions.kind = 'caption') THEN 'rejected'
    ELSE 'uncaptioned' END
FROM items JOIN captions ON captions.item_id = items.id
"""
SQLITE_TRIGGERS = {
    "search_inserted": ("AFTER INSERT ON captions", ("NEW",)),
    "search_updated": ("AFTER UPDATE OF text, state, kind, item_id ON captions", ("OLD", "NEW")),
    "search_deleted": ("AFTER DELETE ON captions", ("OLD",)),
}
SQLITE_COUNTS = (
    """
    CREATE TABLE item_counts (
        id INTEGER PRIMARY KEY, collection_id INTEGER NOT NULL, review_state VARCHAR(32) NOT NULL,
        items INTEGER NOT NULL
    )
    """,
    "CREATE INDEX ix_item_counts_collection_id ON item_counts (collection_id, review_state, items)",
    """
    CREATE TRIGGER item_counts_inserted AFTER INSERT ON items BEGIN
        INSERT INTO item_counts (collection_id, review_state, items)
        VALUES (NEW.collection_id, NEW.review_state, 1);
    END
    """,
    """
    CREATE TRIGGER item_counts_updated AFTER UPDATE OF collection_id, review_state ON items
    WHEN (OLD.collection_id, OLD.review_state) <> (NEW.collection_id, NEW.review_state) BEGIN
        INSERT INTO item_counts (collection_id, review_state, items)
        VALUES (OLD.collection_id, OLD.review_state, -1), (NEW.collection_id, NEW.review_state, 1);
    END
    """,
    """
    CREATE TRIGGER item_counts_deleted AFTER DELETE ON items
    WHEN EXISTS (SELECT 1 FROM collections WHERE id = OLD.collection_id) BEGIN
        INSERT INTO item_counts (collection_id, review_state, items)
        VALUES (OLD.collection_id, OLD.review_state, -1);
    END
    """,
    """
    CREATE TRIGGER item_counts_forgotten AFTER DELETE ON collections BEGIN
        DELETE FROM item_counts WHERE collection_id = OLD.id;
    END
    """,
    """
    CREATE TRIGGER item_counts_summed AFTER INSERT ON item_counts WHEN NEW.id % 64 = 0 BEGIN
        INSERT INTO item_counts (collection_id, review_state, items)
        SELECT collection_id, review_state, sum(items) FROM item_counts
        WHERE collection_id = NEW.collection_id GROUP BY review_state;
        DELETE FROM item_counts WHERE collection_id = NEW.collection_id AND id <= NEW.id;
    END
    """,
)

# What separates words: ASCII and Latin-1 punctuation, general punctuation, symbols, CJK punctuation. The
# parser of PostgreSQL would keep together what looks like an address or a file's path.
SEPARATORS = (
    r"[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf"
    r"\u00d7\u00f7\u2000-\u206f\u2190-\u2bff\u3000-\u303f\ufe30-\ufe4f\U0001f000-\U0001faff]+"
)
# `words` holds the words, and under a "/", which no word has: the collection, the review state, the block of
# 16384 ids (so that hits can be read in the order of ids, a block at a time) and the beginnings of words.
POSTGRESQL_SEARCH = (
    f"""
    CREATE FUNCTION search_fold(typed text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT lower(regexp_replace(
            regexp_replace(normalize(typed, NFKD), '[\\u0300-\\u036f]+', '', 'g'), '{SEPARATORS}', ' ', 'g'))
    $$
    """,
    """
    CREATE FUNCTION item_words(item bigint) RETURNS tsvector LANGUAGE plpgsql STABLE AS $$
    DECLARE
        collection bigint;
        said tsvector;
        state text;
    BEGIN
        SELECT collection_id INTO collection FROM items WHERE id = item;
        IF collection IS NULL THEN
            RETURN NULL;
        END IF;
        SELECT to_tsvector('simple', left(search_fold(string_agg(text, ' ' ORDER BY id)), 100000)),
            CASE WHEN bool_or(captions.state = 'accepted' AND captions.kind = 'caption') THEN 'accepted'
                WHEN bool_or(captions.state = 'candidate') THEN 'pending'
                WHEN bool_or(captions.state = 'rejected' AND captions.kind = 'caption') THEN 'rejected'
                ELSE 'uncaptioned' END
            INTO said, state FROM captions WHERE item_id = item;
        IF said IS NULL THEN
            RETURN NULL;
        END IF;
        RETURN said || array_to_tsvector(ARRAY['/c' || collection, '/' || state, '/b' || item / 16384])
            || array_to_tsvector(ARRAY(
                SELECT DISTINCT '/p' || left(word, size)
                FROM unnest(tsvector_to_array(said)) AS word, generate_series(1, 4) AS size
                WHERE length(word) >= size));
    END
    $$
    """,
    """
    CREATE TABLE item_texts (
        item_id bigint PRIMARY KEY REFERENCES items (id) ON DELETE CASCADE, words tsvector NOT NULL
    )
    """,
    """
    INSERT INTO item_texts (item_id, words)
    SELECT id, item_words(id) FROM items WHERE id IN (SELECT item_id FROM captions) ORDER BY id
    """,
    # Without its list of pending entries, which every search of a block would have to read.
    "CREATE INDEX ix_item_texts_words ON item_texts USING gin (words) WITH (fastupdate = off)",
    """
    CREATE FUNCTION index_item(item bigint) RETURNS void LANGUAGE plpgsql AS $$
    DECLARE
        found tsvector := item_words(item);
    BEGIN
        IF found IS NULL THEN
            DELETE FROM item_texts WHERE item_id = item;
        ELSE
            INSERT INTO item_texts (item_id, words) VALUES (item, found)
            ON CONFLICT (item_id) DO UPDATE SET words = excluded.words
            WHERE item_texts.words <> excluded.words;
        END IF;
    END
    $$
    """,
    """
    CREATE FUNCTION index_caption() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            PERFORM index_item(OLD.item_id);
        END IF;
        IF TG_OP = 'INSERT' OR (TG_OP = 'UPDATE' AND NEW.item_id <> OLD.item_id) THEN
            PERFORM index_item(NEW.item_id);
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER search_changed AFTER INSERT OR DELETE OR UPDATE OF text, state, kind, item_id ON captions
    FOR EACH ROW EXECUTE FUNCTION index_caption()
    """,
)
# Every statement that changes items adds rows with what it changed, and takes no lock that others wait for;
# now and then the rows of a collection are summed up, but for those that somebody else is summing.
POSTGRESQL_COUNTS = (
    """
    CREATE TABLE item_counts (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, collection_id bigint NOT NULL,
        review_state varchar(32) NOT NULL, items bigint NOT NULL
    )
    """,
    "CREATE INDEX ix_item_counts_collection_id ON item_counts (collection_id, review_state, items)",
    *(
        f"""
        CREATE FUNCTION items_{verb}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO item_counts (collection_id, review_state, items)
            SELECT collection_id, review_state, sum(number) FROM ({changes}) AS changes
            WHERE EXISTS (SELECT 1 FROM collections WHERE id = collection_id)
            GROUP BY collection_id, review_state HAVING sum(number) <> 0;
            RETURN NULL;
        END
        $$
        """
        for verb, changes in (
            ("inserted", "SELECT collection_id, review_state, 1 AS number FROM new_rows"),
            (
                "updated",
                "SELECT collection_id, review_state, 1 AS number FROM new_rows"
                " UNION ALL SELECT collection_id, review_state, -1 FROM old_rows",
            ),
            ("deleted", "SELECT collection_id, review_state, -1 AS number FROM old_rows"),
        )
    ),
    """
    CREATE TRIGGER item_counts_inserted AFTER INSERT ON items REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION items_inserted()
    """,
    """
    CREATE TRIGGER item_counts_updated AFTER UPDATE ON items
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION items_updated()
    """,
    """
    CREATE TRIGGER item_counts_deleted AFTER DELETE ON items REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION items_deleted()
    """,
    """
    CREATE FUNCTION forget_item_counts() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM item_counts WHERE collection_id = OLD.id;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER item_counts_forgotten AFTER DELETE ON collections
    FOR EACH ROW EXECUTE FUNCTION forget_item_counts()
    """,
    """
    CREATE FUNCTION sum_item_counts() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        WITH free AS (
            SELECT id FROM item_counts WHERE collection_id = NEW.collection_id FOR UPDATE SKIP LOCKED
        ), taken AS (
            DELETE FROM item_counts WHERE id IN (SELECT id FROM free)
            RETURNING collection_id, review_state, items
        )
        INSERT INTO item_counts (collection_id, review_state, items)
        SELECT collection_id, review_state, sum(items) FROM taken
        GROUP BY collection_id, review_state HAVING sum(items) <> 0;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER item_counts_summed AFTER INSERT ON item_counts
    FOR EACH ROW WHEN (mod(NEW.id, 64) = 0) EXECUTE FUNCTION sum_item_counts()
    """,
)
POSTGRESQL_FUNCTIONS = (
    "index_caption()",
    "index_item(bigint)",
    "item_words(bigint)",
    "search_fold(text)",
    "items_inserted()",
    "items_updated()",
    "items_deleted()",
    "forget_item_counts()",
    "sum_item_counts()",
)
FIRST_COUNTS = """
INSERT INTO item_counts (collection_id, review_state, items)
SELECT collection_id, review_state, count(*) FROM items GROUP BY collection_id, review_state
"""


def upgrade() -> None:
    op.drop_index("ix_job_items_job_id_state", "job_items")
    op.create_index("ix_job_items_job_id_state_item_id", "job_items", ["job_id", "state", "item_id"])
    if _is_sqlite():
        _run(SQLITE_SEARCH, f"{SQLITE_DOCUMENTS} GROUP BY items.id", *_sqlite_triggers(), *SQLITE_COUNTS)
    else:
        _run(*POSTGRESQL_SEARCH, *POSTGRESQL_COUNTS)
    _run(FIRST_COUNTS)


def downgrade() -> None:
    counts = ("inserted", "updated", "deleted")
    triggers = {"items": counts, "collections": ("forgotten",), "item_counts": ("summed",)}
    named = [(f"item_counts_{verb}", table) for table, verbs in triggers.items() for verb in verbs]
    if _is_sqlite():
        _run(*(f"DROP TRIGGER {name}" for name in (*SQLITE_TRIGGERS, *(name for name, _ in named))))
    else:
        named.append(("search_changed", "captions"))
        _run(*(f"DROP TRIGGER {name} ON {table}" for name, table in named))
        _run(*(f"DROP FUNCTION {name}" for name in POSTGRESQL_FUNCTIONS))
    _run("DROP TABLE item_texts", "DROP TABLE item_counts")
    op.drop_index("ix_job_items_job_id_state_item_id", "job_items")
    op.create_index("ix_job_items_job_id_state", "job_items", ["job_id", "state"])


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _run(*statements: str) -> None:
    for statement in statements:
        op.get_bind().exec_driver_sql(statement)


def _sqlite_triggers() -> list[str]:
    return [
        f"CREATE TRIGGER {name} {when} BEGIN {''.join(_sqlite_indexing(row) for row in rows)} END"
        for name, (when, rows) in SQLITE_TRIGGERS.items()
    ]


def _sqlite_indexing(row: str) -> str:
    return f"""
        DELETE FROM item_texts WHERE rowid = {row}.item_id;
        {SQLITE_DOCUMENTS} WHERE items.id = {row}.item_id GROUP BY items.id;
    """
