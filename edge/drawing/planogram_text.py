"""The planogram's text with one camera's entry replaced; all else stays as the operator wrote it.

Comments, quotes and line breaks of the other cameras are the operator's, and no YAML library in
use here keeps them. So the entry's lines are cut out and new ones put in; the result is read again
and only taken if it says what it should, else the whole file is written anew from its data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from edge.yamlfile import Data, Loader, compose, parse_yaml

Entry = dict[str, Any]
"""A camera's section as plain data."""
INDENT = 2
QUICK_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # only lines are asked of it
HEAD = "version: 1\ncameras:\n"
NOTHING = ("#", "%", "---", "...")
"""How lines begin that say nothing: comments, and where a document begins and ends."""


def with_camera(raw: bytes, data: dict[str, Data], camera_id: str, entry: Entry) -> bytes:
    """Return the file's new text, UTF-8.

    Args:
        raw: the file's present text, b"" where there is none.
        data: what it says.
        camera_id: whose entry is replaced, or added behind the others.
        entry: the camera's new section.
    """
    text = raw.decode("utf-8-sig")
    if says_nothing(raw):
        begun = text if not text or text.endswith("\n") else text + "\n"
        whole, wanted = begun + HEAD + _lines(camera_id, entry, INDENT), _begun(camera_id, entry)
        return (whole if _says(whole, wanted) else _dump(wanted)).encode()
    cameras = data.get("cameras")
    wanted = {**data, "cameras": {**(cameras if isinstance(cameras, dict) else {})}}
    wanted["cameras"][camera_id] = entry
    spliced = _splice(text, camera_id, entry)
    if spliced is not None and _says(spliced, wanted):
        return spliced.encode()
    return _dump(wanted).encode()


def says_nothing(raw: bytes) -> bool:
    """Whether nothing is written in a file yet, but for comments."""
    try:
        text = raw.decode("utf-8-sig")
        if any(not line.lstrip().startswith(NOTHING) for line in text.splitlines() if line.strip()):
            return False  # told without reading the thousand slots that may follow
        root = compose(text)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
        return False  # whoever reads it says what is wrong
    return root is None or (isinstance(root, ScalarNode) and not root.value)


def _begun(camera_id: str, entry: Entry) -> dict[str, Any]:
    return {"version": 1, "cameras": {camera_id: entry}}


def _splice(text: str, camera_id: str, entry: Entry) -> str | None:
    """Return the text with the camera's lines exchanged, None where it has no lines of its own."""
    cameras = _value(yaml.compose(text, Loader=QUICK_LOADER), "cameras")
    if isinstance(cameras, MappingNode) and not cameras.value:  # `cameras: {}`
        before, after = text[: cameras.start_mark.index], text[cameras.end_mark.index :]
        return f"{before.rstrip(' ')}\n{_lines(camera_id, entry, INDENT).rstrip()}{after}"
    if not isinstance(cameras, MappingNode) or cameras.flow_style:
        return None
    column = cameras.value[0][0].start_mark.column
    lines = _lines(camera_id, entry, column)
    for key, value in cameras.value:
        if key.value == camera_id:
            start = key.start_mark.index - column
            return text[:start] + lines + text[_line_end(text, _end(text, value)) :]
    end = _line_end(text, _end(text, cameras))
    line_break = "" if text[:end].endswith("\n") else "\n"
    return text[:end] + line_break + lines + text[end:]


def _value(node: Node | None, name: str) -> Node | None:
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)


def _end(text: str, node: Node) -> int:
    """Return where a node's last character ends.

    The mark of a block collection lies behind the comments that follow it, that of a block of text
    (`|`) at the next line; what follows belongs to what comes next.
    """
    if not isinstance(node, CollectionNode) or node.flow_style or not node.value:
        end = int(node.end_mark.index)
        return node.start_mark.index + len(text[node.start_mark.index : end].rstrip("\r\n"))
    last = node.value[-1]
    return _end(text, last[1] if isinstance(last, tuple) else last)


def _line_end(text: str, index: int) -> int:
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _says(text: str, wanted: dict[str, Any]) -> bool:
    found = parse_yaml(Path(), text.encode(), "")
    return not found.problems and found.data == _plain(wanted)


def _plain(value: Any) -> Any:
    """Return the value as parse_yaml gives it: sequences are tuples."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value


def _lines(camera_id: str, entry: Entry, column: int) -> str:
    """Return a camera's lines, indented."""
    return "".join(
        " " * column + line for line in _dump({camera_id: entry}).splitlines(keepends=True)
    )


def _dump(data: dict[str, Any]) -> str:
    return yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"), indent=INDENT
    )


class _Dumper(yaml.SafeDumper):
    """Writes as people do: `- ` indented below its key, corners on one line, no aliases."""

    # So that a name that reads as a number is quoted.
    yaml_implicit_resolvers = Loader.yaml_implicit_resolvers

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _sequence(dumper: _Dumper, items: list[Any] | tuple[Any, ...]) -> Node:
    inline = all(not isinstance(item, dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=inline)


def _text(dumper: _Dumper, text: str) -> Node:
    """What is no plain line of text is written with escapes: line breaks of all kinds survive."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _sequence)
_Dumper.add_representer(tuple, _sequence)
