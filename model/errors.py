"""What goes wrong in the captioner, as one tree of exceptions."""


class ModelError(Exception):
    """Any mistake the captioner can name; the message is a whole sentence for the user."""


class RecipeError(ModelError):
    """A recipe or an override that cannot be used."""


class DataError(ModelError):
    """A folder of photos and captions that cannot be read, or must not be trained on."""


class CheckpointError(ModelError):
    """A checkpoint or a weights file that is missing, damaged, too new or out of bounds."""


class TrainingError(ModelError):
    """Training that cannot go on."""


class TrainingStopped(TrainingError):
    """Training that was told to stop, and has saved its state."""


class CaptioningError(ModelError):
    """A captioning run that cannot start."""
