"""What every view works with, made once an application."""

from dataclasses import dataclass

from flask import Flask, current_app

from catalog.blobs import BlobStore
from catalog.database import Database
from catalog.queue import Queue
from catalog.settings import Settings

EXTENSION = "recaption"


@dataclass(frozen=True)
class Services:
    """The parts of the catalog behind this application."""

    settings: Settings
    database: Database
    blobs: BlobStore
    queue: Queue


def attach(app: Flask, settings: Settings) -> Services:
    """Open the services; a process that forks does so afterwards."""
    services = Services(
        settings=settings,
        database=Database(settings.database_url),
        blobs=BlobStore(settings.blobs),
        queue=Queue(settings),
    )
    app.extensions[EXTENSION] = services
    return services


def services() -> Services:
    """The services of the application that handles this request."""
    found: Services = current_app.extensions[EXTENSION]
    return found
