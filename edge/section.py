"""What all sections of the operator's files share: strictness, names, paths, and plain words.

pydantic finds what is wrong; `validate` says it as an operator needs it: where, what, and the
nearest right name.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from edge.redact import read_secret
from edge.yamlfile import Data, Keys, Problem, YamlFile


class Section(BaseModel):
    """A mapping in a file: unknown keys are refused, text is not taken for a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # it may hold a password
        use_attribute_docstrings=True,
    )


def beside(path: Path, info: ValidationInfo) -> Path:
    """Return the path seen from the file it stands in (the current folder where there is none).

    ${NAME} in it is an environment variable: systemd's ${CREDENTIALS_DIRECTORY}.
    """
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / filled(path)


def existing(path: Path, info: ValidationInfo) -> Path:
    """Return the path of a file that can be read, as `beside` does.

    Raises ValueError, which does not repeat the path: somebody may have written the password
    where the name of its file belongs.
    """
    path = beside(path, info)
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise ValueError("there is no such file; paths are relative to this file") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    return path


def filled(path: Path) -> Path:
    """Return the path with each ${NAME} filled in. Raises ValueError where one is not set."""
    if path.parts[:1] == ("~",):
        raise ValueError("~ is not understood here; write ${HOME}, or the whole path")

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise ValueError("${…} in it names no environment variable that is set")
        return found

    return Path(re.sub(r"\$\{([^}]*)\}", value, str(path)))


def _secret(path: Path) -> Path:
    read_secret(path)
    return path


RelativePath = Annotated[Path, Field(strict=False), AfterValidator(beside)]
ExistingFile = Annotated[Path, Field(strict=False), AfterValidator(existing)]
SecretFile = Annotated[ExistingFile, AfterValidator(_secret)]

Model = TypeVar("Model", bound=Section)


def validate(file: YamlFile, model: type[Model]) -> Model | None:
    """Return the file as the model, or None; what is wrong is added to the file's problems."""
    if file.data is None or not _version_fits(file):
        return None
    try:
        valid = model.model_validate(file.data, context={"folder": file.path.parent.absolute()})
    except ValidationError as error:
        errors = error.errors(include_url=False)
        known = {(problem.line, problem.keys) for problem in file.problems}
        found = _problems(file, model, errors)
        file.problems += [problem for problem in found if (problem.line, problem.keys) not in known]
        return None
    return None if file.problems else valid


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint that ends a message about an unknown word."""
    known = sorted(known)
    near = difflib.get_close_matches(word.lower(), known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(known)}" if known else "nothing is known here"


def made_name(text: str) -> str:
    """Return the text as a Name; empty where nothing in it can stand in one."""
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-_")


def problems_of(*found: tuple[str, str]) -> PydanticCustomError:
    """Return the error for several (key, message) of one section at once."""
    return PydanticCustomError("section", "section", {"found": found})


def _version_fits(file: YamlFile) -> bool:
    assert file.data is not None
    version = file.data.get("version")
    newer = isinstance(version, int) and not isinstance(version, bool) and version > 1
    if newer:
        message = f"{version} was written for a newer shelf-edge; this one reads 1: update it"
        # One problem only: what else looks wrong may be right in that version.
        file.problems[:] = [file.problem(("version",), message)]
    return not newer


def _problems(
    file: YamlFile, model: type[Section], errors: list[ErrorDetails]
) -> Iterable[Problem]:
    hints: set[Keys] = set()  # the required keys that an unknown key was probably meant to be
    for error in errors:
        if error["type"] == "extra_forbidden":
            known = names_in(model, error["loc"][:-1])
            close = difflib.get_close_matches(str(error["loc"][-1]).lower(), known, n=1)
            hints |= {(*error["loc"][:-1], name) for name in close}
    for error in errors:
        keys = tuple(key for key in error["loc"] if key != "[key]")
        if error["type"] == "section":
            for key, message in error["ctx"]["found"]:
                yield file.problem((*keys, key), message)
        elif error["type"] != "missing" or keys not in hints:
            yield file.problem(keys, _words(file, model, keys, error))


def names_in(model: type[Section], keys: Keys) -> list[str]:
    """Return the keys that are allowed in the section which the keys lead to."""
    here: Any = model
    for key in keys:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[str(key)].annotation
        else:
            here = get_args(here)[-1 if get_origin(here) is dict else 0]
    if not hasattr(here, "model_fields"):  # an optional section: Temperature | None
        here = get_args(here)[0]
    return sorted(here.model_fields)


KINDS = {
    "string_type": "text",
    "path_type": "a path",
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "lines of `key: value`",
    "model_type": "lines of `key: value`",
}
BOUNDS = {
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
}


def _words(file: YamlFile, model: type[Section], keys: Keys, error: ErrorDetails) -> str:
    """Say one error; of the values only numbers and short words are repeated."""
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return f"unknown key; {nearest(str(keys[-1]), names_in(model, keys[:-1]))}"
    if kind in KINDS:
        return _wrong_kind(KINDS[kind], value, file.texts.get(keys))
    if kind in BOUNDS:
        return f"{value} must be {BOUNDS[kind].format(**error['ctx'])}"
    if kind == "literal_error":
        return f"must be {error['ctx']['expected']}"
    if kind == "finite_number":
        return "must be a finite number"
    if kind == "string_pattern_mismatch":
        return _no_name(str(value))
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    return error["msg"][:1].lower() + error["msg"][1:]


def _wrong_kind(wanted: str, value: Data, written: str | None) -> str:
    if value is None:
        return f"is empty; it must be {wanted}, or remove the key"
    if wanted == "text" and written is not None:
        return f'must be text; put it in quotes: "{written}"'
    if isinstance(value, str):
        return f"must be {wanted}, not text"
    if isinstance(value, tuple):
        return f"must be {wanted}, not a list"
    return f"must be {wanted}, not {'a mapping' if isinstance(value, dict) else value}"


def _no_name(value: str) -> str:
    rule = "must be small letters, digits, - and _, and begin with a letter or digit"
    proposal = made_name(value)
    harmless = proposal and len(value) <= 40 and not re.search("[:@]", value)
    return f"{rule}; did you mean {proposal}?" if harmless else rule
