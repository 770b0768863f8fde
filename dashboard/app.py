"""The application factory."""

from functools import partial

from apiflask import APIFlask
from flask_bootstrap import Bootstrap5

from catalog import reconciler
from catalog.periodic import Periodic
from catalog.settings import Settings, load_settings
from dashboard import (
    bulk,
    checkpoint_files,
    checkpoints,
    collections,
    datasets,
    differences,
    duplicates,
    errors,
    freezing,
    golden_sets,
    guidelines,
    headers,
    health,
    imports,
    items,
    jobs,
    keys,
    labels,
    login_link,
    loop,
    people,
    retraining,
    reviewers,
    security,
    services,
    session,
    spot_checks,
    tiles,
    tokens,
    training_files,
)
from dashboard.api import captions as api_captions
from dashboard.api import checkpoints as api_checkpoints
from dashboard.api import collections as api_collections
from dashboard.api import datasets as api_datasets
from dashboard.api import decisions as api_decisions
from dashboard.api import duplicates as api_duplicates
from dashboard.api import golden_sets as api_golden_sets
from dashboard.api import grid as api_grid
from dashboard.api import imports as api_imports
from dashboard.api import items as api_items
from dashboard.api import jobs as api_jobs
from dashboard.api import operations as api_operations
from dashboard.api import progress as api_progress
from dashboard.api import queue as api_queue
from dashboard.api import redecodings as api_redecodings
from dashboard.api import spot_checks as api_spot_checks
from dashboard.api import training as api_training
from dashboard.api import troubles as api_troubles
from dashboard.api import tus
from dashboard.api import workers as api_workers

MAX_REQUEST = 64 << 20  # bytes; parts of uploads are read as they come, whatever their length
PAGES = (
    collections,
    guidelines,
    bulk,
    spot_checks,
    freezing,
    datasets,
    golden_sets,
    tiles,
    duplicates,
    items,
    jobs,
    imports,
    retraining,
    training_files,
    checkpoints,
    loop,
    people,
    reviewers,
    tokens,
    keys,
    login_link,
    health,
)
API = (
    api_collections,
    api_imports,
    tus,
    api_duplicates,
    api_operations,
    api_spot_checks,
    api_datasets,
    api_golden_sets,
    api_grid,
    api_items,
    api_captions,
    api_queue,
    api_decisions,
    api_redecodings,
    api_progress,
    api_jobs,
    api_training,
    api_checkpoints,
    api_workers,
    api_troubles,
)


def create_app(settings: Settings | None = None, *, reconcile: bool = True) -> APIFlask:
    """The dashboard. `reconcile` starts the threads that wake workers, import what was uploaded and carry
    bulk operations on."""
    settings = settings or load_settings()
    app = APIFlask(
        __name__,
        title="Recaption",
        version="1",
        spec_path="/api/openapi.json",
        docs_path=None,  # the page that comes with APIFlask loads its scripts from elsewhere
        json_errors=False,
    )
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST
    app.config["BOOTSTRAP_SERVE_LOCAL"] = True
    opened = services.attach(app, settings)
    for setup in (headers, session, errors, labels, differences):
        setup.init_app(app)
    app.before_request(tus.let_parts_through)
    app.before_request(checkpoint_files.let_checkpoints_through)
    security.init_app(app, settings)
    Bootstrap5(app)
    for part in (*PAGES, *API):
        app.register_blueprint(part.blueprint)
    if reconcile:
        turn = partial(reconciler.reconcile, opened.database, opened.queue)
        Periodic("reconciler", turn, period=reconciler.PERIOD).start()
        opened.importer.start()
        opened.operator.start()
    return app
