from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import REPOSITORY

from edge.schemas import FOLDER, as_text, schemas


@pytest.mark.parametrize("name", schemas())
def test_the_schema_that_ships_is_the_models(name):
    shipped = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    assert shipped == as_text(schemas()[name]), "run `make schemas`"


def test_no_schema_ships_that_no_model_has():
    assert {path.name for path in FOLDER.glob("*.json")} == {
        f"{name}.schema.json" for name in schemas()
    }


@pytest.mark.parametrize("name", schemas())
def test_every_schema_is_valid_itself(name):
    jsonschema.Draft202012Validator.check_schema(schemas()[name])


def complaints(name: str, document: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(schemas()[name])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def sample(path: Path) -> object:
    return json.loads(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("name", ["site", "planogram"])
def test_the_sample_files_fit_their_schema(name):
    assert complaints(name, sample(REPOSITORY / "configs" / f"{name}.yaml")) == []


def test_the_schemas_find_what_an_editor_should_underline():
    site = sample(REPOSITORY / "configs/site.yaml")
    site["cameras"][0]["every"] = 5
    planogram = sample(REPOSITORY / "configs/planogram.yaml")
    planogram["cameras"]["aisle-1"]["slots"][0]["quad"].pop()
    planogram["cameras"]["Aisle 2"] = {}
    assert "'every' was unexpected" in " ".join(complaints("site", site))
    assert len(complaints("planogram", planogram)) == 2
