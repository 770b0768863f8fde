"""What can go wrong in the catalog, as one tree that the dashboard and the command line translate."""


class CatalogError(Exception):
    """The top of the tree. The text of every error is a sentence for the person who caused it."""


class InvalidInput(CatalogError):
    """A value that nobody may store, such as an empty caption."""


class NotFound(CatalogError):
    """Nothing of that id or name, or nothing that this user may know of."""


class NotAllowed(CatalogError):
    """The user's role does not reach this far."""


class Conflict(CatalogError):
    """The request is sound but meets a state that forbids it."""


class StaleCaption(Conflict):
    """Somebody changed the caption first; carries both texts so that none is lost."""

    def __init__(self, *, caption_id: int, version: int, current: str, state: str, yours: str | None) -> None:
        super().__init__(
            f"caption {caption_id} was changed by somebody else and is now at version {version}; "
            "compare both texts and save again"
        )
        self.caption_id = caption_id
        self.version = version
        self.current = current
        self.state = state
        self.yours = yours


class StaleToken(Conflict):
    """A worker writes for a chunk or an upload that another one has claimed since."""


class UploadOverrun(CatalogError):
    """More bytes than an upload may have, or than were announced."""


class MissingBlob(CatalogError):
    """The bytes of a stored file are gone or are no longer what their hash says."""


class DamagedManifest(CatalogError):
    """The manifest of a dataset is none, or not one that this release reads."""


class StorageUnavailable(CatalogError):
    """The storage of blobs does not answer, or not as it should; later it may."""


class StorageFull(CatalogError):
    """A disk, a bucket or the database has no room left. Nothing was half stored."""


class DatabaseFull(StorageFull):
    """The database has no room left: no job can go on until there is some."""


class SchemaOutOfDate(CatalogError):
    """The database was made by another release."""
