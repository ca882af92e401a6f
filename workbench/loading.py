"""Recipes by name or by file."""

from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from serving.errors import ModelUnavailable
from workbench.recipe import Recipe, Size
from workbench.recipes import RECIPES


def is_recipe(text: str) -> bool:
    """Whether this names a recipe, and no model or folder."""
    return text in RECIPES or text.endswith(".py")


def load(text: str, size: Size = "full") -> Recipe:
    """A recipe by a name in RECIPES or the path of a file. Raises ModelUnavailable where there is none."""
    return _known(text, size) if text in RECIPES else _made(text, size)


# Weights that decode like trained ones take a while to draw, and a recipe keeps those that it has drawn.
@cache
def _known(name: str, size: Size) -> Recipe:
    return _made(name, size)


def _made(text: str, size: Size) -> Recipe:
    make = getattr(source(text), "recipe", None)
    made = make(size) if callable(make) else None
    if not isinstance(made, Recipe):
        raise ModelUnavailable(f"{text} has no function recipe(size) that gives a workbench.recipe.Recipe")
    return made


def source(text: str) -> ModuleType:
    """The module that defines a recipe. Raises ModelUnavailable."""
    if text in RECIPES:
        return import_module(f"workbench.recipes.{module_name(text)}")
    if not is_recipe(text) or not Path(text).is_file():
        raise ModelUnavailable(
            f"there is no recipe {text!r}: name one of {', '.join(RECIPES)}, or the path of a .py file"
        )
    return _of_file(Path(text).resolve())


def module_name(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")


def _of_file(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ModelUnavailable(f"{path} cannot be loaded as Python")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
