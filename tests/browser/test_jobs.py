"""Jobs in the browser: steered with the keyboard, and drawn in place while they change."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select, update

from catalog import checkpoints, collections, job_control, job_events, jobs, workers
from catalog.jobs import PROTOCOL
from catalog.schema import Job, JobItem, JobItemState, JobState, Severity, User
from tests.serving import Server

PHONE = {"width": 360, "height": 740}
LONG = "A-very-long-name-without-any-blank-that-a-scanner-gave-to-this-box-of-photos-in-the-attic"


@pytest.fixture
def collection(page: Page, photo: Callable[..., Path], tmp_path: Path) -> str:
    """The name of a collection of three photos."""
    name = f"Harbour of {tmp_path.name}"
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create collection").click()
    page.get_by_label("choose files").set_input_files(
        [photo(tmp_path / f"{LONG}-{number}.jpg", number) for number in range(3)]
    )
    expect(page.locator(".tile")).to_have_count(3)
    return name


@pytest.fixture
def new_job(server: Server, collection: str) -> Callable[[], int]:
    """A function that makes a job which no worker here knows how to do: the tests play its worker."""

    def make() -> int:
        with server.database.writing() as session:
            job = jobs.create_caption_job(
                session,
                collections.by_name(session, collection),
                checkpoint=checkpoints.active(session),
                user=session.scalars(select(User)).one(),
                mode="add",
            )
            job.protocol = PROTOCOL + 1
        return job.id

    return make


@pytest.fixture
def job(new_job: Callable[[], int]) -> int:
    return new_job()


def opened(page: Page, address: str) -> Page:
    """A page with a mark that is lost when it is loaded again."""
    page.goto(address)
    page.evaluate("window.mark = 'still here'")
    return page


def is_the_same(page: Page) -> bool:
    return bool(page.evaluate("window.mark === 'still here'"))


def set_job(server: Server, job: int, **values: object) -> None:
    with server.database.writing() as session:
        session.execute(update(Job).where(Job.id == job).values(**values))


def fail_one(server: Server, job: int) -> None:
    with server.database.writing() as session:
        item = session.scalars(select(JobItem).where(JobItem.job_id == job).limit(1)).one()
        item.state, item.error = JobItemState.FAILED, f"the picture is {LONG}"


def test_a_job_is_steered_with_the_keyboard(page: Page, job: int) -> None:
    opened(page, f"/jobs/{job}")
    state = page.locator("[data-job=state]")
    said = page.locator("#said")
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Enter")
    expect(state).to_have_text("paused")
    expect(said).to_have_text(f"Job {job} is paused.")
    expect(page.get_by_text("until somebody resumes the job")).to_be_visible()
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    page.keyboard.press("Enter")
    expect(state).to_have_text("queued")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=f"Cancel job {job}?")
    expect(dialog).to_contain_text("It has not come to 3 of its 3 photos yet")
    expect(dialog.get_by_role("button", name="Let it go on")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Cancel…")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(state).to_have_text("cancelled")
    expect(page.get_by_role("link", name="Review the captions")).to_be_focused()
    expect(page.get_by_role("link", name="Cancel…")).to_have_count(0)
    # Each once; the worker may have said by now that it does not know how to do this job.
    for told in ("created for 3 items", "paused", "resumed", "cancelled; what is done stays"):
        expect(page.locator(".timeline p").filter(has_text=told)).to_have_count(1)
    assert is_the_same(page)


def test_the_priority_is_changed_and_a_refused_one_says_why(
    page: Page, job: int, server: Server, complaints: list[str]
) -> None:
    opened(page, f"/jobs/{job}")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_text("priority 7", exact=False).first).to_be_visible()
    expect(page.locator("#shell")).to_contain_text("--priority 7")
    with server.database.writing() as session:
        job_control.cancel(session, session.get_one(Job, job), user=None)
    page.get_by_label("Priority").fill("8")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_role("alert")).to_contain_text("has ended already")
    assert is_the_same(page)
    assert [complaint[:3] for complaint in complaints] == ["409"]
    complaints.clear()


def test_what_others_do_is_drawn_in_place(page: Page, job: int, server: Server) -> None:
    opened(page, f"/jobs/{job}")
    with server.database.writing() as session:
        broken = {"severity": Severity.ERROR, "details": f"Traceback\n  {LONG}", "worker": "elsewhere"}
        job_events.append(session, job, "broke", "it broke", **broken)  # type: ignore[arg-type]
    page.get_by_text("Details").click()
    expect(page.get_by_text("Traceback")).to_be_visible()
    set_job(server, job, state=JobState.RUNNING, done=1)
    expect(page.locator("[data-job=done]")).to_have_text("1")
    expect(page.locator("#said")).to_have_text(f"Job {job} is running.")
    fail_one(server, job)
    set_job(server, job, state=JobState.DONE, done=2, failed=1)
    expect(page.get_by_role("link", name="Review the captions")).to_be_visible()
    expect(page.locator("#said")).to_have_text(f"Job {job} is done. 2 of 3 done, 1 failed.")
    expect(page.locator("[data-job=progress]")).to_have_attribute("value", "3")
    expect(page.get_by_text("Traceback")).to_be_visible()  # still open
    expect(page.locator(".failure")).to_contain_text("the picture is")
    assert page.locator(".failure img").evaluate(
        "async (image) => (await image.decode(), image.naturalWidth)"
    )
    page.get_by_role("button", name="Retry failed").click()
    expect(page.locator("[data-job=state]")).to_have_text("queued")
    expect(page.locator(".failure")).to_have_count(0)
    assert is_the_same(page)


def test_a_typed_priority_outlives_what_is_drawn_meanwhile(page: Page, job: int, server: Server) -> None:
    opened(page, f"/jobs/{job}")
    page.get_by_label("Priority").fill("42")
    set_job(server, job, done=1)
    expect(page.locator("[data-job=done]")).to_have_text("1")
    expect(page.get_by_label("Priority")).to_have_value("42")
    expect(page.get_by_label("Priority")).to_be_focused()


def test_a_resumed_job_of_a_real_worker_ends_before_our_eyes(page: Page, job: int, server: Server) -> None:
    set_job(server, job, state=JobState.PAUSED, protocol=PROTOCOL)
    opened(page, f"/jobs/{job}")
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("link", name="Review the captions").wait_for(timeout=120_000)
    expect(page.locator("[data-job=done]")).to_have_text("3")
    expect(page.get_by_text("done: 3 captioned")).to_be_visible()
    assert is_the_same(page)


def test_the_list_keeps_up_with_jobs_that_come_and_end(
    page: Page, job: int, new_job: Callable[[], int], server: Server
) -> None:
    opened(page, "/jobs")
    row = page.locator(f"#job-{job}")
    expect(row).to_contain_text("0 of 3")
    set_job(server, job, done=2, state=JobState.PAUSED)
    expect(row).to_contain_text("2 of 3")
    expect(row).to_contain_text("paused")
    another = new_job()
    expect(page.locator("#main li[id^=job-]").first).to_have_attribute("id", f"job-{another}")
    expect(page.get_by_role("region", name="Workers").get_by_role("listitem").first).to_contain_text("cpu")
    assert is_the_same(page)


def test_the_equivalent_line_is_copied(new_page: Callable[..., Page], job: int, collection: str) -> None:
    page = new_page(permissions=["clipboard-read", "clipboard-write"])
    page.goto(f"/jobs/{job}")
    page.get_by_text("The same job from a terminal").click()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(f"recaption job caption '{collection}' --mode add --checkpoint ")


def test_without_scripts_the_page_does_the_same(new_page: Callable[..., Page], job: int) -> None:
    page = new_page(java_script_enabled=False)
    page.goto(f"/jobs/{job}")
    state = page.locator("[data-job=state]")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(state).to_have_text("queued")
    page.get_by_label("Priority").fill("-3")
    page.get_by_role("button", name="Change").click()
    expect(page.get_by_text("priority -3").first).to_be_visible()
    page.get_by_role("link", name="Cancel…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Cancel job {job}?")
    page.get_by_role("button", name="Cancel the job").click()
    expect(state).to_have_text("cancelled")


def test_what_keeps_a_worker_from_working_comes_and_goes(page: Page, job: int, server: Server) -> None:
    opened(page, "/jobs")
    with server.database.writing() as session:
        worker_id = workers.register(session, name="attic", device="cpu", version="0")
        workers.beat(session, worker_id, trouble="its disk is full")
    attic = page.get_by_role("region", name="Workers").get_by_role("listitem").filter(has_text="attic")
    expect(attic).to_contain_text("its disk is full")
    troubles = page.locator("[data-troubles]")
    expect(troubles).to_contain_text("The worker attic cannot work: its disk is full.")
    with server.database.writing() as session:
        workers.say_goodbye(session, worker_id)
    expect(attic).to_have_count(0)
    expect(troubles).not_to_contain_text("attic")
    assert is_the_same(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_of_a_job_fits_a_phone(
    new_page: Callable[..., Page], job: int, server: Server, scheme: str
) -> None:
    with server.database.writing() as session:
        job_events.append(
            session, job, "broke", f"it broke: {LONG}{LONG}", details=f"Traceback\n{LONG}{LONG}"
        )
    fail_one(server, job)
    set_job(server, job, failed=1, state=JobState.PAUSED, paused_because=f"the disk of {LONG} is full")
    phone = new_page(viewport=PHONE, color_scheme=scheme)
    for address in (f"/jobs/{job}", "/jobs", f"/jobs/{job}/cancel"):
        phone.goto(address)
        phone.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], address
