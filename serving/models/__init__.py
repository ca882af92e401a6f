"""The model store: which weights there are, where they come from, and the folder they lie in."""

from serving.models.integrity import fingerprint
from serving.models.manifest import Entry
from serving.models.pull import Progress, Update
from serving.models.store import ModelStore

__all__ = ["Entry", "ModelStore", "Progress", "Update", "fingerprint"]
