"""Training in the browser: curves grow in sight; checkpoints are promoted and rolled back by the keyboard."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from catalog.blobs import open_blobs
from catalog.schema import Checkpoint, CheckpointState, Collection, Item, JobState, Promotion, TrainingRun
from catalog.settings import load_settings
from tests.browser.test_jobs import PHONE, is_the_same, opened, set_job
from tests.dashboard import trained
from tests.serving import Server


@pytest.fixture
def made(page: Page, server: Server, photo: Callable[..., Path], tmp_path: Path) -> tuple[int, int]:
    """The ids of a train job at work and of a candidate, both from a dataset of a collection of one photo."""
    name = f"Jetty of {tmp_path.name}"
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create collection").click()
    page.get_by_label("choose files").set_input_files([photo(tmp_path / "jetty.jpg", 77)])
    expect(page.locator(".tile")).to_have_count(1)
    home = Path(server.database.engine.url.database or "").parent
    blobs = open_blobs(load_settings({"RECAPTION_HOME": str(home)}))
    with server.database.writing() as session:
        collection = session.scalars(select(Collection.id).where(Collection.name == name)).one()
        items = session.scalars(select(Item.id).where(Item.collection_id == collection)).all()
        active = session.scalars(select(Checkpoint).where(Checkpoint.state == CheckpointState.ACTIVE)).one()
        dataset = trained.frozen(session, blobs, items, name)
        told = {"stage": "training", "epochs": trained.EPOCHS[:1], "data": trained.DATA}
        job = trained.training(session, dataset, active, state=JobState.RUNNING, **told)
        job.done, job.total = 1, 12
        return job.id, trained.trained(session, dataset, active, name).id


def test_curves_grow_while_one_looks(page: Page, server: Server, made: tuple[int, int]) -> None:
    job, _ = made
    opened(page, f"/jobs/{job}")
    curve = page.locator("#cider-epochs")
    expect(curve.locator("circle")).to_have_count(1)
    page.get_by_text("The numbers").click()
    with server.database.writing() as session:
        run = update(TrainingRun).where(TrainingRun.job_id == job)
        session.execute(run.values(epochs=trained.EPOCHS, losses=[[1, 3.0], [2, 2.5]]))
    set_job(server, job, done=2)
    expect(curve.locator("circle")).to_have_count(2)
    expect(page.locator("#loss-updates path")).to_be_visible()
    expect(page.get_by_role("row", name="2 2.7000 0.3600")).to_be_visible()  # still open
    expect(page.get_by_role("img", name="CIDEr on the validation photos")).to_be_visible()
    expect(page.locator("[data-job=pace]")).to_contain_text("2 of at most 12 epochs")
    assert is_the_same(page)
    set_job(server, job, state=JobState.CANCELLED)
    expect(page.locator("[data-job=state]")).to_have_text("cancelled")


def test_promotion_and_rollback_by_keyboard(page: Page, server: Server, made: tuple[int, int]) -> None:
    _, candidate = made
    page.goto(f"/checkpoints/{candidate}")
    page.locator("summary", has_text="Promote it all the same").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("It knows jetties.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("is the active checkpoint now")
    page.get_by_role("button", name="Roll back to").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("is back")
    expect(page.get_by_text("Reason: It knows jetties.").first).to_be_visible()
    with server.database.reading() as session:
        last = session.scalars(select(Promotion).order_by(Promotion.id.desc()).limit(1)).one()
        assert session.get_one(Checkpoint, candidate).state is CheckpointState.RETIRED
    assert last.rolls_back_id


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_training_fit_a_phone(
    new_page: Callable[..., Page], made: tuple[int, int], server: Server, scheme: str
) -> None:
    job, candidate = made
    set_job(server, job, state=JobState.CANCELLED)
    phone = new_page(viewport=PHONE, color_scheme=scheme)
    for address in (f"/jobs/{job}", f"/checkpoints/{candidate}", "/checkpoints", "/retrain", "/loop"):
        phone.goto(address)
        phone.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
