"""Pages of checkpoints: one beside another one, lineage, promotion, files in and out."""

import io
import zipfile

import pytest
from sqlalchemy import func, select

from catalog.database import Database
from catalog.pages import PAGE_SIZE
from catalog.schema import Checkpoint, Dataset, Job, TrainingRun
from tests.dashboard import trained
from tests.dashboard.trained import STARTER, Loop, packed, renamed
from tests.dashboard.visitor import Visitor


def shown(visitor: Visitor, checkpoint: int, **query: object) -> str:
    answer = visitor.get(f"/checkpoints/{checkpoint}", query_string=query)
    assert answer.status_code == 200
    assert 'style="' not in answer.text
    return " ".join(answer.text.split())


def test_the_list_begins_with_the_active_checkpoint_and_tells_where_each_comes_from(
    admin: Visitor, loop: Loop
) -> None:
    loop.measure()
    page = " ".join(admin.get("/checkpoints").text.split())
    assert page.index(">starter-1<") < page.index(">boats-1<")
    assert "learnt from Boats@1, going on from starter-1" in page
    assert "<strong>0.468</strong> CIDEr on Golden@1<small>95 % interval 0.438 to 0.498" in page
    assert page.count('<li class="card">') == 2


def test_the_active_checkpoint_stands_once_however_many_pages_there_are(
    admin: Visitor, database: Database, checkpoint: int
) -> None:
    with database.writing() as session:
        row = {"weights_sha256": "8" * 64, "description_sha256": "9" * 64}
        names = [f"n{number}" for number in range(PAGE_SIZE + 5)]
        session.add_all(Checkpoint(name=name, description={}, **row) for name in names)
    first = admin.get("/checkpoints").text
    assert first.index(">starter-1<") < first.index(f">{names[-1]}<")
    after = first.partition('rel="next" href="')[2].partition('"')[0]
    assert ">starter-1<" not in admin.get(after).text
    assert ">n0<" in admin.get(after).text


def test_scores_stand_side_by_side_with_all_that_makes_them_comparable(admin: Visitor, loop: Loop) -> None:
    loop.measure()
    page = shown(admin, loop.candidate)
    assert "424 photos, golden set" in page
    assert "1 a photo<small>424 written blind</small>" in page
    assert "<td>0.468<small>0.438 to 0.498</small></td><td>0.412<small>0.382 to 0.442</small></td>" in page
    assert "<td>+0.056<small>+0.026 to +0.086</small></td> <td>0.004</td><td>1</td>" in page


def test_any_other_checkpoint_can_be_chosen_to_stand_beside(
    admin: Visitor, loop: Loop, database: Database
) -> None:
    loop.measure()
    with database.writing() as session:
        learned = session.get_one(Dataset, loop.learned)
        other = trained.trained(session, learned, None, "boats-2").id
    page = shown(admin, loop.candidate, against=other)
    assert "Scores beside boats-2" in page
    assert "The two were not measured on the same photos yet" in page
    assert "Is it better" not in page
    assert admin.get(f"/checkpoints/{loop.candidate}?against=999").status_code == 404


def test_the_verdict_is_told_in_plain_words(admin: Visitor, loop: Loop) -> None:
    assert "Cannot tell" in shown(admin, loop.candidate)
    loop.measure()
    page = shown(admin, loop.candidate)
    assert "Better: CIDEr 0.412 to 0.468 on 424 photos of Golden@1 (p 0.004, first look)." in page
    loop.measure(after=0.4)
    assert "Not better: CIDEr 0.412 to 0.400" in shown(admin, loop.candidate)


def test_the_worst_regressions_show_picture_both_texts_and_the_references(admin: Visitor, loop: Loop) -> None:
    loop.measure()
    page = shown(admin, loop.candidate)
    worst = page.partition("Where it does worst")[2]
    picture = f"/items/{loop.items[2]}/picture"
    assert f'src="{picture}"' in worst
    assert admin.get(picture).status_code == 200
    assert "<dt>starter-1</dt><dd>A boat at the jetty.</dd> <dt>boats-1</dt><dd>A jetty.</dd>" in worst
    assert "<dt>People</dt><dd>A small boat at the jetty.</dd>" in worst
    assert "CIDEr 1.25 lower" in worst


def test_a_damaged_manifest_is_said_and_the_page_stands(admin: Visitor, loop: Loop) -> None:
    loop.measure()
    with loop.database.reading() as session:
        keys = [session.get_one(Dataset, number).manifest_sha256 for number in (loop.golden, loop.learned)]
    for key in keys:
        (loop.settings.home / "blobs" / key[:2] / key).write_bytes(b"tampered")
    page = shown(admin, loop.candidate)
    assert page.count("is damaged: its bytes are no longer those that were stored") == 2
    assert "Better: CIDEr 0.412" in page


def test_the_impact_says_how_many_captions_would_change_and_shows_some(admin: Visitor, loop: Loop) -> None:
    loop.tell_impact()
    page = shown(admin, loop.candidate)
    assert "about <strong>400</strong> of 1,000 captions that nobody has reviewed" in page
    assert "(330 to 470, told from 200 of them), by 1.5 words on average" in page
    assert "<del>brown dog</del>" in page or "<ins>" in page


def test_lineage_leads_both_ways(admin: Visitor, loop: Loop) -> None:
    page = shown(admin, loop.candidate)
    assert f'<a href="/checkpoints/{loop.active}">starter-1</a>' in page
    assert f'<a href="/datasets/{loop.learned}">Boats@1</a>: 2 edited captions' in page
    with loop.database.reading() as session:
        job = session.scalars(select(TrainingRun.job_id)).one()
    assert f'<a href="/jobs/{job}">job {job}</a>' in page
    assert f'<a href="/checkpoints/{loop.candidate}">boats-1</a>' in shown(admin, loop.active)
    assert "Only for tests." in page
    assert "3 words" in page


def test_what_the_gate_calls_better_is_promoted_by_one_button(admin: Visitor, loop: Loop) -> None:
    loop.measure()
    assert ">Promote</button>" in shown(admin, loop.candidate)
    answer = admin.submit(f"/checkpoints/{loop.candidate}/promote", {})
    assert answer.status_code == 303
    assert loop.active_now() == loop.candidate
    assert "boats-1 is the active checkpoint now" in admin.get(answer.location).text
    assert loop.promotion().verdict["answer"] == "better"


def test_anything_else_takes_a_reason_that_is_kept(admin: Visitor, loop: Loop) -> None:
    page = shown(admin, loop.candidate)
    assert ">Promote</button>" not in page
    assert "Promote with this reason" in page
    answer = admin.submit(f"/checkpoints/{loop.candidate}/promote", {"reason": ""})
    assert answer.status_code == 409
    assert "give a reason" in answer.text
    sent = {"reason": "It knows jetties."}
    assert admin.submit(f"/checkpoints/{loop.candidate}/promote", sent).status_code == 303
    assert loop.promotion().reason == "It knows jetties."
    assert "Reason: It knows jetties." in admin.get("/checkpoints").text


def test_rolling_back_says_before_what_it_brings_back(admin: Visitor, loop: Loop) -> None:
    assert "Roll back" not in admin.get("/checkpoints").text
    admin.submit(f"/checkpoints/{loop.candidate}/promote", {"reason": "It knows jetties."})
    assert "Roll back to starter-1" in admin.get("/checkpoints").text
    assert "Roll back to starter-1" in shown(admin, loop.candidate)
    answer = admin.submit("/checkpoints/roll-back", {})
    assert answer.status_code == 303
    assert loop.active_now() == loop.active
    page = admin.get(answer.location).text
    assert "starter-1 is back" in page
    assert "rolled back" in page
    assert admin.submit("/checkpoints/roll-back", {}).status_code == 409


def test_only_admins_are_offered_what_only_admins_may(reviewer: Visitor, loop: Loop) -> None:
    loop.measure()
    page = shown(reviewer, loop.candidate)
    assert "Promote" not in page.partition("<main")[2].partition("What promoting")[0].replace("promoting", "")
    assert reviewer.submit(f"/checkpoints/{loop.candidate}/promote", {"reason": "x"}).status_code == 403
    assert reviewer.submit("/checkpoints/roll-back", {}).status_code == 403
    assert reviewer.submit("/checkpoints", {}).status_code == 403
    assert "Add a checkpoint from elsewhere" not in reviewer.get("/checkpoints").text
    assert loop.active_now() == loop.active


def test_nobody_learns_of_sets_of_collections_that_they_may_not_see(reviewer: Visitor, loop: Loop) -> None:
    loop.measure()
    loop.tell_impact()
    page = shown(reviewer, loop.candidate)
    for hidden in ("Boats@1", "424 photos, golden set", "A jetty.", "nobody has reviewed would"):
        assert hidden not in page
    assert "learnt from a dataset that you may not see" in page


def test_only_admins_read_which_sets_the_gate_named(admin: Visitor, reviewer: Visitor, loop: Loop) -> None:
    admin.submit(f"/checkpoints/{loop.candidate}/promote", {"reason": "a try"})
    assert "Golden@1" in admin.get("/checkpoints").text
    page = reviewer.get("/checkpoints").text
    assert "Reason: a try" in page
    assert "Gate: " in page
    assert "Golden@1" not in page


def test_measuring_again_starts_a_job(admin: Visitor, loop: Loop) -> None:
    answer = admin.submit(f"/checkpoints/{loop.candidate}/measure", {})
    assert answer.status_code == 303
    page = admin.get(answer.location).text
    assert "Measuring boats-1" in page
    with loop.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Job)) == 2


def upload(visitor: Visitor, *files: tuple[io.BytesIO, str]) -> str:
    answer = visitor.submit("/checkpoints", {"files": list(files)}, follow_redirects=True)
    return answer.text


def test_a_checkpoint_goes_out_as_a_zip_and_comes_in_again(admin: Visitor, checkpoint: int) -> None:
    assert "harbour-9 is here, as a candidate" in upload(
        admin, (packed(STARTER, checkpoint=renamed("harbour-9")), "c.zip")
    )
    page = admin.get("/checkpoints").text
    number = page.partition('">harbour-9<')[0].rpartition("/checkpoints/")[2]
    answer = admin.get(f"/checkpoints/{number}/download")
    assert answer.headers["Content-Disposition"].endswith("harbour-9.zip")
    with zipfile.ZipFile(io.BytesIO(answer.data)) as archive:
        assert sorted(archive.namelist()) == ["checkpoint.json", "weights.safetensors"]
        assert archive.read("weights.safetensors") == (STARTER / "weights.safetensors").read_bytes()


def test_the_two_files_of_a_folder_come_in_as_well(admin: Visitor, checkpoint: int) -> None:
    weights = io.BytesIO((STARTER / "weights.safetensors").read_bytes())
    files = (io.BytesIO(renamed("harbour-8")), "checkpoint.json"), (weights, "weights.safetensors")
    assert "harbour-8 is here" in upload(admin, *files)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([(b"no zip", "c.zip")], "cannot be read as a zip"),
        ([(b"{}", "checkpoint.json")], "there is no weights.safetensors in what was sent"),
        ([(b"{}", "checkpoint.json"), (b"no weights", "weights.safetensors")], "names no checkpoint"),
        ([(b"{", "checkpoint.json"), (b"no weights", "weights.safetensors")], "cannot be read"),
    ],
)
def test_anything_else_is_refused_with_the_reason(
    admin: Visitor, checkpoint: int, files: list[tuple[bytes, str]], why: str
) -> None:
    said = upload(admin, *((io.BytesIO(content), name) for content, name in files))
    assert why in said
    assert "/tmp" not in said


def test_weights_that_are_no_weights_are_refused(admin: Visitor, database: Database, checkpoint: int) -> None:
    said = upload(admin, (packed(STARTER, checkpoint=renamed("bad-1"), weights=b"\x80\x04 pickled"), "c.zip"))
    assert "bad-1 is here" not in said
    with database.reading() as session:
        assert session.scalars(select(Checkpoint.name)).all() == ["starter-1"]
