"""`python -m serving.models …` is `duoscribe models …`, for Makefiles and images without the command line."""

from serving.models.commands import models

if __name__ == "__main__":
    models(prog_name="python -m serving.models")
