"""One module a model. The names by which the command line knows them."""

RECIPES = (
    "conformer",
    "zipformer",
    "fastconformer-ctc",
    "fastconformer-0.6b",
    "jasper",
    "vocos",
    "whisper-encoder",
)
"""Each is a module here, with _ for - and dots."""
