"""One YAML file as plain data that remembers where each key stands.

Only what an operator's file needs is read: text, numbers, true and false, lists and mappings.
Anchors, aliases and tags are refused: they can make a small file endless, and nobody needs them
here. No message quotes a value of the file: it may be a password.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import Resolver

Data = str | int | float | bool | None | tuple["Data", ...] | dict[str, "Data"]
Keys = tuple[str | int, ...]
"""The way to a value: ("cameras", 0, "url")."""

TAG = "tag:yaml.org,2002:"
NO_ANCHORS = "anchors and aliases are not used here; put a value that begins with & or * in quotes"
NO_TAGS = "tags are not used here; put a value that begins with ! in quotes"


class Loader(yaml.SafeLoader):
    """PyYAML's, but 1e-3 is a number, as in YAML 1.2 and in JSON; YAML 1.1 wants 1.0e-3."""


Loader.add_implicit_resolver(
    TAG + "float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)

if yaml.__with_libyaml__:
    from yaml._yaml import CParser

    class QuickLoader(Composer, CParser, SafeConstructor, Resolver):
        """Reads the same seven times as fast: letters in C, but nodes in Python.

        libyaml's own nodes are quicker still; ten thousand open brackets crash it.
        """

        yaml_implicit_resolvers = Loader.yaml_implicit_resolvers

        def __init__(self, stream: str):
            CParser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

else:
    QuickLoader = Loader  # type: ignore[misc, assignment]

READ_OTHERWISE = re.compile(
    r"[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]|[?!|>]|::|:\s*[],}]"
)
"""Where libyaml takes what PyYAML refuses, or puts it elsewhere: tabs, ?, tags, empty values, …"""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: site.yaml:4: cameras[0].every: unknown key; did you mean every_s?"""

    path: Path
    line: int | None
    keys: Keys
    message: str

    def __str__(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        text = ": ".join([where, *([key_path(self.keys)] if self.keys else []), self.message])
        # A key may hold anything, also what a terminal would obey.
        return "".join(letter if letter.isprintable() else "?" for letter in text)


@dataclass(slots=True)
class YamlFile:
    """A file as read. data is None where the file is unusable; then the problems say why."""

    path: Path
    data: dict[str, Data] | None = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[Keys, int] = field(default_factory=dict)
    texts: dict[Keys, str] = field(default_factory=dict)
    """Plain scalars as they were written: 0123 is the number 83, which nobody meant."""

    def line(self, keys: Keys) -> int:
        """Return the line of the key, or of the nearest thing around it: at last the file's."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return self.lines[keys[:length]]
        return 1

    def problem(self, keys: Keys, message: str) -> Problem:
        return Problem(self.path, self.line(keys), keys, message)


def key_path(keys: Keys) -> str:
    """Return the keys as people write them: cameras[0].url. One that is a URL is left out."""
    shown = ("…" if isinstance(key, str) and "://" in key else key for key in keys)
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in shown)
    return "".join(parts).removeprefix(".")


def read_yaml(path: Path, way_out: str) -> YamlFile:
    """Read one file; never raises for what the file holds.

    way_out ends the message for a file that does not exist or is empty.
    """
    try:
        return parse_yaml(path, path.read_bytes(), way_out)
    except FileNotFoundError:
        return _unusable(YamlFile(path), None, f"no such file; {way_out}")
    except OSError as error:
        return _unusable(YamlFile(path), None, f"cannot be read: {error.strerror}")


def parse_yaml(path: Path, raw: bytes, way_out: str) -> YamlFile:
    """Read what a file holds, or shall hold; never raises for it."""
    file = YamlFile(path)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        return _unusable(file, line, "is not UTF-8 text; save it as UTF-8")
    try:
        root = compose(text)
        if root is None or root.tag == TAG + "null":
            return _unusable(file, None, f"is empty; {way_out}")
        if not isinstance(root, MappingNode):
            return _unusable(file, root.start_mark.line + 1, "must be lines of `key: value`")
        file.data = _Reader(file).mapping(root, ())
    except yaml.YAMLError as error:
        return _unusable(file, *_explain(error, text))
    except RecursionError:
        return _unusable(file, None, "is nested too deeply")
    return file


def compose(text: str) -> Node | None:
    """Return the text's nodes, None for an empty one. Raises yaml.YAMLError, in PyYAML's words."""
    if not READ_OTHERWISE.search(text):
        with contextlib.suppress(yaml.YAMLError):  # libyaml says it in other words, so PyYAML does
            return yaml.compose(text, Loader=QuickLoader)  # type: ignore[arg-type]
    return yaml.compose(text, Loader=Loader)


def _unusable(file: YamlFile, line: int | None, message: str) -> YamlFile:
    file.data = None
    file.problems.append(Problem(file.path, line, (), message))
    return file


class _Reader:
    """Turns nodes into data and notes the lines, and whatever is wrong, in the file."""

    def __init__(self, file: YamlFile):
        self._file = file
        self._construct = SafeConstructor()
        self._seen: set[int] = set()

    def value(self, node: Node, keys: Keys) -> Data:
        if id(node) in self._seen:  # an alias: the same node a second time, or around itself
            self._refuse(keys, NO_ANCHORS)
            return None
        self._seen.add(id(node))
        if isinstance(node, MappingNode) and node.tag == TAG + "map":
            return self.mapping(node, keys)
        if isinstance(node, SequenceNode) and node.tag == TAG + "seq":
            return self._sequence(node, keys)
        if isinstance(node, ScalarNode) and node.tag.startswith(TAG):
            return self._scalar(node, keys)
        self._refuse(keys, NO_TAGS)
        return None

    def mapping(self, node: MappingNode, keys: Keys) -> dict[str, Data]:
        data: dict[str, Data] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                message = "a key must be text"
                self._file.problems.append(Problem(self._file.path, line, keys, message))
                continue
            key = key_node.value
            here = (*keys, key)
            if key in data:
                message = f"stands here twice, first on line {self._file.lines[here]}; remove one"
                self._file.problems.append(Problem(self._file.path, line, here, message))
                continue
            self._file.lines[here] = line
            data[key] = self.value(value_node, here)
        return data

    def _sequence(self, node: SequenceNode, keys: Keys) -> tuple[Data, ...]:
        items = []
        for index, item in enumerate(node.value):
            here = (*keys, index)
            self._file.lines[here] = item.start_mark.line + 1
            items.append(self.value(item, here))
        return tuple(items)

    def _scalar(self, node: ScalarNode, keys: Keys) -> Data:
        kind = node.tag.removeprefix(TAG)
        if not node.style:
            self._file.texts[keys] = node.value
        try:
            if kind == "null":
                return None
            if kind == "bool":
                return bool(self._construct.construct_yaml_bool(node))
            if kind == "int":
                return int(self._construct.construct_yaml_int(node))
            if kind == "float":
                return float(self._construct.construct_yaml_float(node))
        except (ValueError, LookupError):
            return str(node.value)  # such as 0x_: looks like a number and is none
        return str(node.value)  # dates too: nothing in these files is a date

    def _refuse(self, keys: Keys, message: str) -> None:
        self._file.problems.append(self._file.problem(keys, message))


# What PyYAML says, and what an operator can do about it.
WAYS_OUT: Mapping[str, str] = {
    "mapping values are not": 'check the indentation, or quote a value that has ": " in it',
    "could not find expected ':'": "a `key: value` line lacks its colon, or a quote is not closed",
    "expected <block end>": "check the indentation and the dashes",
    "found unexpected end of stream": "a quote is not closed",
    "expected ',' or ']'": "a bracket or a comma is missing",
    "expected ',' or '}'": "a brace or a comma is missing",
    "found unknown escape character": "in double quotes write \\\\ for one backslash",
    "cannot start any token": "put the value in quotes",
}


def _explain(error: yaml.YAMLError, text: str) -> tuple[int | None, str]:
    """Return the line and a message that quotes nothing of the file but single characters."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text[: error.position].count("\n") + 1
        return line, "holds a character that does not belong in a text file"
    if not isinstance(error, yaml.MarkedYAMLError):
        return None, "is no valid YAML"
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    there = (text.splitlines() or [""])[min(line, len(text.splitlines()) or 1) - 1]
    said = error.problem or ""
    if "\t" in re.match(r"\s*", there)[0] or r"'\t'" in said:  # type: ignore[index]
        return line, "a tab; YAML wants spaces"
    if isinstance(error, yaml.composer.ComposerError):
        second = "another document" in said
        return line, "a second document (---) begins; one is enough" if second else NO_ANCHORS
    if "anchor" in f"{error.context}" or "alias" in f"{error.context}":
        return line, NO_ANCHORS
    if "tag" in said or "tag" in f"{error.context}":
        return line, NO_TAGS
    if "${" in there and "{" in there.replace("${", "", 1):
        return line, "is no valid YAML: inside { } a value with ${NAME} needs quotes"
    way_out = next((hint for part, hint in WAYS_OUT.items() if part in said), "")
    return line, "is no valid YAML: " + "; ".join(filter(None, [said, way_out]))
