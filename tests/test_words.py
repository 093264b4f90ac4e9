"""The pages' words: two languages, the same keys, none of them unused, none of them missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STATIC = Path(__file__).resolve().parents[1] / "edge" / "web" / "static"
LIB = STATIC / "lib"
PARTS = sorted(one.stem.removeprefix("ko") for one in LIB.glob("ko*.js"))
"""What follows the language in the names of the word files: nothing, and -calibrate."""
KEY = re.compile(r'^  "([^"]+)":\s*"((?:[^"\\]|\\.)*)",$', re.MULTILINE)
SLOTS = re.compile(r"\{(\w+)")


def words(part: str, language: str) -> dict[str, str]:
    return dict(KEY.findall((LIB / f"{language}{part}.js").read_text(encoding="utf-8")))


def scripts() -> str:
    files = [one for one in STATIC.rglob("*.js") if not re.match("(ko|en)[-.]", one.name)]
    return "\n".join(one.read_text(encoding="utf-8") for one in files)


@pytest.mark.parametrize("part", PARTS)
def test_both_languages_have_the_same_keys_and_parameters(part):
    korean, english = words(part, "ko"), words(part, "en")
    assert len(korean) > 20
    assert list(korean) == list(english)
    for key in korean:
        assert set(SLOTS.findall(korean[key])) <= set(SLOTS.findall(english[key])), key
        assert set(SLOTS.findall(english[key])) <= set(SLOTS.findall(korean[key])), key


@pytest.mark.parametrize("part", PARTS)
def test_every_line_of_a_word_file_is_a_key_with_words(part):
    for language in ("ko", "en"):
        text = (LIB / f"{language}{part}.js").read_text(encoding="utf-8")
        entries = re.findall(r'^ *"[^"]+":', text, re.MULTILINE)
        assert len(entries) == len(words(part, language))


def test_every_key_is_used():
    text = scripts()
    begun = set(re.findall(r"`([a-z_]+\.(?:[a-z_.]+)?)\$\{", text))
    unused = [
        key
        for part in PARTS
        for key in words(part, "ko")
        if f'"{key}"' not in text and not any(key.startswith(start) for start in begun)
    ]
    assert unused == []


def test_every_key_that_is_used_has_words():
    known = {key for part in PARTS for key in words(part, "ko")}
    asked = set(re.findall(r'\bt\(\s*"([a-z_0-9.]+)"', scripts()))
    assert len(asked) > 50
    assert asked - known == set()
