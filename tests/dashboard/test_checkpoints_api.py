"""The API of checkpoints."""

import io
import zipfile

from catalog.schema import Checkpoint
from tests.dashboard.trained import STARTER, Loop, packed, renamed
from tests.dashboard.visitor import Visitor


def test_the_list_tells_state_origin_and_golden_score(admin: Visitor, loop: Loop) -> None:
    loop.measure()
    active, candidate = admin.call("GET", "/checkpoints").json
    assert (active["checkpoint"]["state"], candidate["checkpoint"]["state"]) == ("active", "candidate")
    assert candidate["origin"] == "learnt from Boats@1, going on from starter-1"
    assert candidate["golden"]["value"] == 0.468
    assert candidate["golden_set"] == "Golden@1"


def test_one_is_shown_with_its_lineage_and_without_its_words(
    admin: Visitor,
    loop: Loop,
) -> None:
    told = admin.call("GET", f"/checkpoints/{loop.candidate}").json
    assert [parent["name"] for parent in told["lineage"]["parents"]] == ["starter-1"]
    assert told["lineage"]["dataset"]["name"] == "Boats"
    assert told["lineage"]["origins"] == {"edited": 2}
    assert "vocabulary" not in told["description"]
    assert told["words"] == 3
    elsewhere = admin.call("GET", f"/checkpoints/{loop.active}").json
    assert (elsewhere["lineage"]["dataset"], elsewhere["lineage"]["parents"]) == (None, [])
    assert admin.call("GET", "/checkpoints/999").status_code == 404


def test_the_description_names_no_dataset_that_one_may_not_see(
    admin: Visitor, reviewer: Visitor, loop: Loop
) -> None:
    with loop.database.writing() as session:
        candidate = session.get_one(Checkpoint, loop.candidate)
        learned = {"seed": 1, "data": {"dataset": "Boats@1"}}
        candidate.description = {**candidate.description, "lineage": learned}
    address = f"/checkpoints/{loop.candidate}"
    assert admin.call("GET", address).json["description"]["lineage"] == learned
    assert reviewer.call("GET", address).json["description"]["lineage"] == {"seed": 1}


def test_a_comparison_holds_scores_verdict_regressions_and_impact(
    admin: Visitor,
    loop: Loop,
) -> None:
    loop.measure()
    loop.tell_impact()
    told = admin.call("GET", f"/checkpoints/{loop.candidate}/comparison").json
    assert (told["verdict"]["answer"], told["verdict"]["n"], told["verdict"]["p"]) == ("better", 424, 0.004)
    (one,) = told["sets"]
    assert (one["split"], one["n"], one["references"], one["look"]) == ("golden", 424, 1, 1)
    assert one["origins"] == {"blind": 424}
    assert one["difference"]["cider"]["p"] == 0.004
    assert one["other_scores"] == {"cider": 0.412}
    assert told["worst"][0]["references"] == ["A small boat at the jetty."]
    assert told["impacts"][0]["result"]["estimate"] == 400


def test_a_checkpoint_is_not_compared_with_itself(admin: Visitor, loop: Loop) -> None:
    assert admin.call("GET", f"/checkpoints/{loop.active}/comparison").status_code == 422
    other = admin.call("GET", f"/checkpoints/{loop.active}/comparison?against=boats-1").json
    assert (other["verdict"], other["sets"]) == (None, [])
    assert admin.call("GET", f"/checkpoints/{loop.active}/comparison?against=nobody").status_code == 404


def test_promoting_and_rolling_back(admin: Visitor, reviewer: Visitor, loop: Loop) -> None:
    address = f"/checkpoints/{loop.candidate}/promote"
    refused = admin.call("POST", address, json={})
    assert refused.status_code == 409
    assert "give a reason" in refused.json["detail"]
    assert reviewer.call("POST", address, json={"reason": "x"}).status_code == 403
    promotion = admin.call("POST", address, json={"reason": "It knows jetties."})
    assert promotion.status_code == 200
    assert (promotion.json["checkpoint_id"], promotion.json["previous_id"]) == (loop.candidate, loop.active)
    assert loop.active_now() == loop.candidate
    assert reviewer.call("POST", "/checkpoints/rollback").status_code == 403
    back = admin.call("POST", "/checkpoints/rollback")
    assert (back.status_code, back.json["rolls_back_id"]) == (200, promotion.json["id"])
    assert loop.active_now() == loop.active
    assert admin.call("POST", "/checkpoints/rollback").status_code == 409


def test_measuring_starts_a_job(admin: Visitor, loop: Loop) -> None:
    answer = admin.call("POST", f"/checkpoints/{loop.candidate}/measure")
    assert answer.status_code == 202
    told = admin.call("GET", f"/training-jobs/{answer.json['id']}").json
    assert (told["dataset_id"], told["checkpoint_id"]) == (None, loop.candidate)


def test_a_checkpoint_is_sent_in_and_out(admin: Visitor, reviewer: Visitor, checkpoint: int) -> None:
    def sent(visitor: Visitor) -> dict[str, object]:
        return {"data": {"files": [(packed(STARTER, checkpoint=renamed("harbour-7")), "c.zip")]}}

    assert reviewer.call("POST", "/checkpoints", **sent(reviewer)).status_code == 403
    answer = admin.call("POST", "/checkpoints", **sent(admin))
    assert answer.status_code == 201
    told = answer.json["checkpoint"]
    assert (told["name"], told["state"]) == ("harbour-7", "candidate")
    again = admin.call("GET", f"/checkpoints/{told['id']}/download")
    with zipfile.ZipFile(io.BytesIO(again.data)) as archive:
        assert sorted(archive.namelist()) == ["checkpoint.json", "weights.safetensors"]
    assert admin.call("POST", "/checkpoints", data={}).status_code == 422
