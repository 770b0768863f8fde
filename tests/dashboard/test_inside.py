"""Looking inside the model through the API: words with their doubts, and questions to the network."""

from base64 import b64decode
from collections.abc import Callable

import pytest
from apiflask import APIFlask

from catalog import redecodings, workers
from catalog.database import Database
from catalog.schema import CaptionDetail, Checkpoint, Redecoding, User
from tests.dashboard.visitor import Visitor

WORDS = {"kind": "replacements", "words": ["a", "brown", "dog"], "position": 1}
PREFIX = {"kind": "continuation", "prefix": "A brown"}


@pytest.fixture
def woken(app: APIFlask, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many wake-ups were published, each time."""
    times: list[int] = []
    queue = app.extensions["recaption"].queue
    monkeypatch.setattr(queue, "wake", lambda count=1, **_: times.append(count) or True)
    return times


def test_a_caption_tells_its_words_with_doubts_and_attention(
    admin: Visitor, caption: int, checkpoint: int, database: Database
) -> None:
    grids = bytes(range(3 * 4))
    with database.writing() as session:
        session.get_one(CaptionDetail, caption).attention = grids
        described = session.get_one(Checkpoint, checkpoint)
        numbers = {"word_calibration": {"slope": 1.0, "bias": 0.0}}
        described.description = described.description | numbers | {"preprocessing": {"framing": "pad"}}
    told = admin.call("GET", f"/captions/{caption}/inside").json
    assert [word["text"] for word in told["words"]] == ["a", "brown", "dog"]
    assert [round(word["confidence"], 3) for word in told["words"]] == [0.9, 0.4, 0.8]
    assert [word["doubtful"] for word in told["words"]] == [False, True, False]
    assert (told["calibrated"], told["framing"], told["side"]) == (True, "pad", 2)
    assert b64decode(told["attention"]) == grids


def test_a_checkpoint_without_numbers_for_words_says_so(admin: Visitor, caption: int) -> None:
    told = admin.call("GET", f"/captions/{caption}/inside").json
    assert told["calibrated"] is False
    assert told["attention"] is None
    assert {(word["confidence"], word["doubtful"]) for word in told["words"]} == {(None, False)}


def test_a_question_wakes_a_worker_and_is_answered_at_its_address(
    admin: Visitor, item: int, caption: int, database: Database, woken: list[int]
) -> None:
    asked = admin.call("POST", f"/items/{item}/redecodings", json=WORDS | {"caption_id": caption})
    assert asked.status_code == 202
    assert woken == [1]
    assert asked.json["state"] == "waiting"
    address = asked.headers["Location"]
    assert address.startswith("/api/v1/redecodings/")
    with database.writing() as session:
        held = redecodings.claim(session)
        assert held
        assert held.question == {"words": ["a", "brown", "dog"], "position": 1, "count": 5}
        redecodings.answer(session, held, {"replacements": [{"word": "black", "text": "x", "score": -1.0}]})
    told = admin.get(address)
    assert told.status_code == 200
    assert (told.json["state"], told.json["error"]) == ("answered", None)
    assert told.json["answer"]["replacements"][0]["word"] == "black"


def test_nobody_to_answer_is_said_until_a_worker_comes(
    admin: Visitor, item: int, checkpoint: int, database: Database
) -> None:
    asked = admin.call("POST", f"/items/{item}/redecodings", json=PREFIX)
    assert asked.json["waiting_for_a_worker"] is True
    with database.writing() as session:
        workers.register(session, name="one", device="cpu", version="0")
    assert admin.get(asked.headers["Location"]).json["waiting_for_a_worker"] is False


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "guess"},
        {"kind": "replacements"},
        WORDS | {"position": 3},
        WORDS | {"position": -1},
        WORDS | {"words": []},
        WORDS | {"words": ["a"] * 101},
        WORDS | {"words": ["a", ""], "position": 0},
        WORDS | {"count": 33},
        WORDS | {"prefix": "A"},
        PREFIX | {"words": ["a"]},
        PREFIX | {"prefix": "a" * 2001},
        PREFIX | {"beam": 5},
    ],
)
def test_a_question_out_of_bounds_is_refused(
    admin: Visitor, item: int, checkpoint: int, body: dict[str, object]
) -> None:
    answer = admin.call("POST", f"/items/{item}/redecodings", json=body)
    assert answer.status_code == 422
    assert answer.mimetype == "application/problem+json"


def test_of_what_one_may_not_see_there_is_nothing(
    admin: Visitor, reviewer: Visitor, item: int, caption: int
) -> None:
    address = admin.call("POST", f"/items/{item}/redecodings", json=PREFIX).headers["Location"]
    assert reviewer.get(address).status_code == 404
    assert reviewer.call("POST", f"/items/{item}/redecodings", json=PREFIX).status_code == 404
    assert reviewer.call("GET", f"/captions/{caption}/inside").status_code == 404
    assert admin.call("GET", "/redecodings/999").status_code == 404
    assert admin.call("POST", "/items/999/redecodings", json=PREFIX).status_code == 404
    wrong = PREFIX | {"caption_id": 999}
    assert admin.call("POST", f"/items/{item}/redecodings", json=wrong).status_code == 404


def test_another_admin_does_not_read_what_one_asked(
    admin: Visitor, item: int, checkpoint: int, database: Database, new_user: Callable[..., User]
) -> None:
    address = admin.call("POST", f"/items/{item}/redecodings", json=PREFIX).headers["Location"]
    eve = new_user("eve")
    with database.writing() as session:
        session.get_one(Redecoding, int(address.rpartition("/")[2])).user_id = eve.id
    assert admin.get(address).status_code == 404


def test_without_a_checkpoint_there_is_nobody_to_ask(admin: Visitor, item: int) -> None:
    answer = admin.call("POST", f"/items/{item}/redecodings", json=PREFIX)
    assert answer.status_code == 404
    assert "no checkpoint is active" in answer.json["detail"]


def test_a_caption_that_people_wrote_has_no_inside(admin: Visitor, item: int) -> None:
    written = admin.call("POST", f"/items/{item}/captions", json={"text": "A boat."}).json
    assert admin.call("GET", f"/captions/{written['id']}/inside").status_code == 404
