"""No page and no listing of the API asks the database more often where there are more rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from apiflask import APIFlask
from sqlalchemy import event, insert, select, update

from catalog import manifests
from catalog.blobs import BlobStore, open_blobs
from catalog.database import Database, database_clock
from catalog.manifests import FrozenCaption, FrozenItem, Header
from catalog.schema import (
    ApiToken,
    Caption,
    CaptionDetail,
    CaptionState,
    Checkpoint,
    CheckpointState,
    Chunk,
    ChunkState,
    Collection,
    Comparison,
    Dataset,
    DatasetKind,
    Evaluation,
    GoldenItem,
    GoldenReference,
    GoldenSet,
    HistoryEntry,
    Image,
    Impact,
    ImportedFile,
    Item,
    Job,
    JobEvent,
    JobItem,
    JobItemState,
    JobKind,
    JobState,
    Membership,
    Operation,
    OperationKind,
    OperationState,
    Origin,
    Promotion,
    Reason,
    Redecoding,
    RedecodingKind,
    ReviewState,
    Role,
    Scope,
    Split,
    SpotCheck,
    TrainingRun,
    Upload,
    User,
    Worker,
    utc_now,
)
from catalog.settings import Settings
from tests.dashboard.trained import OPTIONS
from tests.dashboard.visitor import Visitor

FEW, MANY = 10, 1000
IMPORT, TRAINING = 5000, 6000
ADDRESSES = [
    "/",
    "/?after=2",
    "/collections/1",
    "/collections/1?after=5",
    "/collections/1?state=pending",
    "/collections/1?q=boat",
    "/collections/1?q=boat&state=pending&after=5",
    "/collections/1/guidelines",
    "/collections/1?origin=model&path=jpg&order=uncertain&after=5",
    "/collections/1/tiles?show=1,2,3,4,5,6,7,8,9,10",
    "/collections/1/members",
    "/collections/1/members?after=105",
    "/collections/1/duplicates",
    "/collections/1/review?state=pending",
    "/collections/1/review?q=boat",
    "/collections/1/bulk",
    "/collections/1/bulk?operation=replace&find=boat&put=ship&preview=y",
    "/collections/1/operations",
    "/collections/1/operations?after=5",
    "/operations/1/undo",
    "/spot-checks/1",
    "/collections/1/progress",
    "/collections/1/progress?after=105",
    "/collections/1/delete",
    "/items/5",
    "/items/5?state=pending",
    "/items/5?q=boat",
    "/items/1?history=5",
    "/items/5/mine",
    "/jobs",
    "/jobs?after=5",
    "/jobs/1",
    "/jobs/1?after=5",
    "/jobs/1?events=5",
    "/jobs/1/cancel",
    "/people",
    "/people?after=105",
    "/tokens",
    "/keys",
    "/tokens?after=5",
    "/checkpoints",
    "/checkpoints?after=5",
    "/checkpoints?promotions=5",
    "/checkpoints/1",
    "/checkpoints/1?against=2",
    "/checkpoints/2",
    "/loop",
    "/retrain",
    "/retrain?dataset=1",
    "/retrain?collection=1",
    "/jobs/6000",
    "/api/v1/training-jobs/6000",
    "/api/v1/checkpoints",
    "/api/v1/checkpoints?limit=500",
    "/api/v1/checkpoints/1",
    "/api/v1/checkpoints/1/comparison?against=n2",
    "/collections/1/freeze",
    "/collections/1/freeze?q=boat",
    "/datasets",
    "/datasets?after=5",
    "/datasets/1",
    "/datasets/1?after=5",
    "/datasets/1/delete",
    "/datasets/2/differences?against=1",
    "/collections/1/golden-sets",
    "/golden-sets/1",
    "/golden-sets/1/write",
    "/items/6",
    "/api/v1/datasets?limit=500",
    "/api/v1/datasets/1",
    "/api/v1/datasets/1/items?limit=500",
    "/api/v1/datasets/2/differences?against=1",
    "/api/v1/golden-sets?collection_id=1",
    "/api/v1/golden-sets/1",
    "/api/v1/golden-sets/1/next",
    "/api/v1/collections",
    "/api/v1/collections/1",
    "/api/v1/collections/1/items",
    "/api/v1/collections/1/items?limit=500",
    "/api/v1/collections/1/items?q=boat&limit=500",
    "/api/v1/collections/1/item-ids",
    "/api/v1/collections/1/item-ids?q=boat&order=random&after=5",
    "/api/v1/collections/1/duplicates?limit=500",
    "/api/v1/collections/1/operations?limit=500",
    "/api/v1/operations/1",
    "/api/v1/spot-checks/1",
    "/api/v1/collections/1/progress",
    "/api/v1/collections/1/progress/mine",
    "/imports/5000",
    "/imports/5000?files=all&after=5",
    "/api/v1/imports/5000/files?limit=500",
    "/api/v1/imports/5000/uploads?limit=500",
    "/api/v1/items/5",
    "/api/v1/items/5/captions",
    "/api/v1/items/1/history?limit=500",
    "/api/v1/checkpoints/reasons?limit=500",
    "/api/v1/captions/1/inside",
    "/api/v1/redecodings/1",
    "/api/v1/jobs",
    "/api/v1/jobs/1",
    "/api/v1/jobs/1/failures?limit=500",
    "/api/v1/jobs/1/events?limit=500",
    "/api/v1/jobs/1/log",
    "/api/v1/workers",
    "/api/v1/troubles",
]


def grow(database: Database, start: int, end: int) -> None:
    """Rows of every kind with the ids from `start` to `end`, all about the collection, item and job 1."""
    ids = range(start, end + 1)
    one = start == 1
    named = [{"id": number, "name": f"n{number}"} for number in ids]
    with database.writing() as session:
        session.execute(insert(Collection), named)
        people = [
            row | {"role": Role.REVIEWER, "password": "!", "fs_uniquifier": row["name"]} for row in named
        ]
        session.execute(insert(User), [row | {"id": 100 + int(row["id"])} for row in people])
        session.execute(insert(Membership), [{"collection_id": 1, "user_id": 100 + number} for number in ids])
        token = {"user_id": 1, "name": "cron", "scope": Scope.READ, "expires_at": utc_now()}
        session.execute(insert(ApiToken), [{"id": n, "secret_hash": f"{n:064}"} | token for n in ids])
        blobs = {"weights_sha256": "0", "description_sha256": "1", "description": {}}
        session.execute(insert(Checkpoint), [row | blobs for row in named])
        shape = {"format": "JPEG", "bytes": 1, "width": 1, "height": 1}
        keys = [
            {"id": number, "dhash": number // 2, "sha256": f"{number:064}", "rendition": f"{number:064}"}
            for number in ids
        ]
        session.execute(insert(Image), [row | shape for row in keys])
        items = [{"id": n, "image_id": n, "position": n, "path": f"{n}.jpg", "collection_id": 1} for n in ids]
        session.execute(insert(Item), items)
        said = {"text": "A boat.", "origin": Origin.MODEL}
        captions = [{"item_id": number, "checkpoint_id": number} | said for number in ids]
        session.execute(insert(Caption), captions)
        session.execute(update(Item).values(review_state=ReviewState.PENDING))
        change = {"item_id": 1, "action": "edited", "version": 1, "reason": Reason.WORDING}
        session.execute(
            insert(HistoryEntry), [{"id": n, "caption_id": n, "user_id": 100 + n} | change for n in ids]
        )
        thought = {"model_text": "A boat.", "score": -1.0, "alternatives": []}
        thought |= {"tokens": ["a", "boat"], "token_probabilities": [0.9, 0.5]}
        session.execute(insert(CaptionDetail), [{"caption_id": number} | thought for number in ids])
        question = {"user_id": 1, "kind": RedecodingKind.CONTINUATION, "question": {"prefix": "A"}}
        asked = {"item_id": 1, "checkpoint_id": 1} | question
        session.execute(insert(Redecoding), [{"id": number} | asked for number in ids])
        job = {"kind": JobKind.CAPTION, "collection_id": 1, "checkpoint_id": 1, "options": {"mode": "fill"}}
        at_work = {"state": JobState.RUNNING, "running_since": 1.0, "failed": 1}
        session.execute(insert(Job), [{"id": number} | job | at_work for number in ids])
        told = {"job_id": 1, "action": "broke", "text": "It broke.", "details": "Traceback", "user_id": 101}
        session.execute(insert(JobEvent), [{"id": number} | told for number in ids])
        living = {"device": "cpu", "version": "0", "heartbeat": database_clock()}
        session.execute(insert(Worker).values([row | living for row in named]))
        finished = {"job_id": 1, "state": ChunkState.FINISHED, "finished_at": 2.0}
        session.execute(insert(Chunk), [{"number": number} | finished for number in ids])
        lent = {"job_id": 1, "state": ChunkState.CLAIMED, "lease_expires": database_clock() + 30}
        session.execute(insert(Chunk).values([{"number": 2000 + n, "worker_id": n} | lent for n in ids]))
        if one:
            session.execute(insert(Chunk).values(job_id=1, number=0))
            session.execute(insert(Job).values(id=IMPORT, kind=JobKind.IMPORT, collection_id=1, failed=1))
        failed = {"job_id": 1, "chunk_number": 0, "state": JobItemState.FAILED, "error": "unreadable"}
        report = {
            "job_id": IMPORT,
            "path": "a.jpg",
            "status": "corrupt",
            "stored": False,
            "detail": "no picture",
        }
        session.execute(insert(ImportedFile), [{"id": number} | report for number in ids])
        upload = {"job_id": IMPORT, "path": "a.jpg", "length": 1, "expires_at": utc_now()}
        session.execute(insert(Upload), [{"id": number, "key": f"{number:032}"} | upload for number in ids])
        check = {
            "collection_id": 1,
            "filter": {},
            "total": 1,
            "captions": [{"id": 1, "item_id": 1, "text": "A"}],
        }
        session.execute(insert(SpotCheck), [{"id": number} | check for number in ids])
        bulk = {"collection_id": 1, "user_id": 1, "kind": OperationKind.ACCEPT, "state": OperationState.DONE}
        session.execute(insert(Operation), [{"id": n, "spot_check_id": n} | bulk for n in ids])
        session.execute(insert(JobItem), [{"item_id": number} | failed for number in ids])


def grow_datasets(database: Database, blobs: BlobStore, start: int, end: int) -> None:
    """Versions of one dataset, with an item each for all the ids up to `end`."""
    said = (FrozenCaption(text="A boat.", language="en", kind="caption", origin="written"),)
    shape = {"width": 1, "height": 1, "split": Split.TRAIN, "captions": said}
    frozen = [
        FrozenItem(item_id=n, path=f"{n}.jpg", sha256=f"{n:064}", rendition=f"{n:064}", **shape)
        for n in range(1, end + 1)
    ]
    header = Header(kind="curated", collection="n1", filter={}, guidelines="")
    with TemporaryDirectory() as folder:
        manifests.write(Path(folder, "manifest"), header, frozen)
        manifest = blobs.put(Path(folder, "manifest"))
    line = {"name": "boats", "kind": DatasetKind.CURATED, "collection_id": 1, "user_id": 1}
    versions = [line | {"id": n, "version": n, "manifest_sha256": manifest} for n in range(start, end + 1)]
    with database.writing() as session:
        session.execute(insert(Dataset), versions)
        session.execute(update(Dataset).values(manifest_sha256=manifest))
        session.execute(update(Caption).values(state=CaptionState.ACCEPTED))


def grow_golden_sets(database: Database, start: int, end: int) -> None:
    """Open golden sets; the first holds the items behind the fifth, each with one of two captions."""
    of_set = [{"golden_set_id": 1, "item_id": number} for number in range(max(start, 6), end + 1)]
    with database.writing() as session:
        sets = [{"id": n, "name": f"golden-{n}", "collection_id": 1} for n in range(start, end + 1)]
        session.execute(insert(GoldenSet), [row | {"references_each": 2} for row in sets])
        session.execute(insert(GoldenItem), [row | {"position": row["item_id"]} for row in of_set])
        written = [row | {"user_id": 100 + row["item_id"], "text": "A pier."} for row in of_set]
        session.execute(insert(GoldenReference), written)


def grow_loop(database: Database, blobs: BlobStore, start: int, end: int) -> None:
    """Checkpoints that were trained on one dataset, scored, compared, and promoted."""
    ids = range(start, end + 1)
    predictions = blobs.put(b'{"sha256": "1", "caption": "A boat.", "cider": 1.0}\n')
    scored = {"n": 1, "references": 1, "scores": {"cider": 0.5}, "intervals": {"cider": [0.4, 0.6]}}
    difference = {"cider": {"value": 0.1, "low": 0.0, "high": 0.2, "p": 0.04}}
    compared = {
        "n": 1,
        "candidate": {"cider": 0.5},
        "against": {"cider": 0.4},
        "difference": difference,
        "sd": 1.0,
    }
    changed = {
        "items": 1,
        "sample": 1,
        "estimate": 1,
        "estimate_low": 1,
        "estimate_high": 1,
        "word_edits": 1.0,
    }
    on = {"dataset_id": 1, "split": Split.GOLDEN}
    with database.writing() as session:
        if start == 1:
            session.execute(update(Checkpoint).where(Checkpoint.id == 2).values(state=CheckpointState.ACTIVE))
            train = {"kind": JobKind.TRAIN, "collection_id": 1, "options": OPTIONS}
            session.execute(insert(Job).values(id=TRAINING, checkpoint_id=2, **train))
            session.execute(insert(TrainingRun).values(job_id=TRAINING, dataset_id=1, line="boats"))
        runs = [{"job_id": n, "dataset_id": 1, "checkpoint_id": n, "line": "boats"} for n in ids if n != 1]
        session.execute(insert(TrainingRun), runs)
        result = on | {"result": scored, "predictions_sha256": predictions}
        session.execute(insert(Evaluation), [result | {"checkpoint_id": n} for n in ids])
        pair = {"against_id": 2, "look": 1} | on | {"result": compared}
        session.execute(insert(Comparison), [pair | {"candidate_id": n} for n in ids])
        impact = {"collection_id": 1, "candidate_id": 1, "against_id": 2, "result": changed}
        session.execute(insert(Impact), [impact for _ in ids])
        promoted = {"checkpoint_id": 2, "previous_id": 1, "user_id": 1, "job_id": 1}
        session.execute(insert(Promotion), [promoted | {"id": n} for n in ids])


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def statements(app: APIFlask, admin: Visitor) -> Callable[[str], int]:
    """A function that counts the statements behind one answer."""
    database = app.extensions["recaption"].database

    def count(address: str) -> int:
        with counted(database) as found:
            answer = admin.get(address)
        assert answer.status_code in (200, 302), f"{address}: {answer.text}"
        return len(found)

    return count


def test_every_answer_takes_as_many_statements_for_many_rows_as_for_few(
    database: Database, settings: Settings, statements: Callable[[str], int]
) -> None:
    blobs = open_blobs(settings)
    grow(database, 1, FEW)
    grow_datasets(database, blobs, 1, FEW)
    grow_golden_sets(database, 1, FEW)
    grow_loop(database, blobs, 1, FEW)
    few = {address: statements(address) for address in ADDRESSES}
    grow(database, FEW + 1, MANY)
    grow_datasets(database, blobs, FEW + 1, MANY)
    grow_golden_sets(database, FEW + 1, MANY)
    grow_loop(database, blobs, FEW + 1, MANY)
    many = {address: statements(address) for address in ADDRESSES}
    assert many == few
    assert min(few.values()) > 1
    with database.reading() as session:
        assert len(session.scalars(select(Item.id)).all()) == MANY


def test_every_listing_without_a_name_in_its_address_is_watched(app: APIFlask) -> None:
    """A new page or listing belongs into ADDRESSES."""
    adapter = app.url_map.bind("localhost")
    watched = {adapter.match(address.partition("?")[0])[0] for address in ADDRESSES}
    once = (
        "static",
        "healthz",
        "login",
        "openapi",
        "picture",
        "thumbnail",
        "original",
        "export",
        "download",
        "captions.show",
        "security",
        "report",
        "training_files",
    )
    listings = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not any(word in rule.endpoint for word in once)
    }
    assert listings <= watched
