"""What every view works with, made once an application."""

from dataclasses import dataclass

from flask import Flask, current_app
from sqlalchemy.orm import Session

from catalog.blobs import BlobStore, open_blobs
from catalog.database import Database
from catalog.imports.importer import Importer
from catalog.operation_runner import Operator
from catalog.queue import Queue
from catalog.settings import Settings
from catalog.troubles import Trouble, troubles

EXTENSION = "recaption"


@dataclass(frozen=True)
class Services:
    """The parts of the catalog behind this application."""

    settings: Settings
    database: Database
    blobs: BlobStore
    queue: Queue
    importer: Importer
    operator: Operator

    def troubles(self, session: Session) -> list[Trouble]:
        """What keeps jobs from going on."""
        return troubles(session, self.settings, self.database, self.queue)


def attach(app: Flask, settings: Settings) -> Services:
    """Open the services; a process that forks does so afterwards."""
    database, blobs = Database(settings.database_url), open_blobs(settings)
    services = Services(
        settings=settings,
        database=database,
        blobs=blobs,
        queue=Queue(settings),
        importer=Importer(database, blobs, staging=settings.cache, max_pixels=settings.max_pixels),
        operator=Operator(database),
    )
    app.extensions[EXTENSION] = services
    return services


def services() -> Services:
    """The services of the application that handles this request."""
    found: Services = current_app.extensions[EXTENSION]
    return found
