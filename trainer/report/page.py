"""The page: sections of figures, in one file that asks nobody for anything."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.report.svg import escape, shortened

STYLE = """
:root { color-scheme: light dark;
  --paper: #fff; --card: #f6f7f9; --ink: #1a1e23; --soft: #59626d; --line: #dfe3e8;
  --accent: #0a62b8; --other: #8a939e }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171b; --card: #1c2025; --ink: #e7eaee; --soft: #a4adb8; --line: #31373f;
  --accent: #63b3ff; --other: #77818d } }
@media print { :root { color-scheme: light;
  --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc;
  --accent: #0a62b8; --other: #777 }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact } nav { display: none } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 72rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); overflow-wrap: break-word; font: 16px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Noto Sans", "Noto Sans KR", "Noto Sans CJK KR", "Apple SD Gothic Neo", "Malgun Gothic",
  sans-serif }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em }
h2 { font-size: 1.3rem; margin: 3.5rem 0 1.25rem; padding-top: 1rem;
  border-top: 1px solid var(--line) }
h3 { font-size: 1.05rem; line-height: 1.35; margin: 0 0 .75rem; text-wrap: balance }
a { color: var(--accent) }
nav { margin-top: 1rem } nav a { margin-right: 1.25rem; overflow-wrap: anywhere }
@media (max-width: 40rem) { nav a, summary { min-height: 44px; padding: .65rem 0 }
  nav a { display: block } }
.lead { font-size: 1.15rem; max-width: 46rem; margin: 0 }
.facts { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.75rem 0 0 }
.facts div { display: flex; flex-direction: column-reverse; margin: 0 }
.facts dt { color: var(--soft); font-size: .875rem }
.facts dd { margin: 0; font-size: 1.7rem; font-weight: 600; line-height: 1.2;
  font-variant-numeric: tabular-nums }
.figures { display: grid; gap: 3rem 2.5rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }
figure { margin: 0; min-width: 0; break-inside: avoid; max-width: 30rem }
figure.wide { grid-column: 1 / -1; max-width: none }
figcaption { color: var(--soft); font-size: .875rem; margin-top: .75rem; max-width: 46rem }
.row { display: grid; gap: 1.5rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)) }
.row > svg { max-width: 30rem }
svg { display: block; width: 100%; height: auto; overflow: visible }
svg text { font-size: 12px; fill: var(--ink); paint-order: stroke; stroke: var(--paper);
  stroke-width: 3px; stroke-linejoin: round }
svg text.tick, svg text.name, svg text.other { fill: var(--soft) }
svg text.main { fill: var(--accent); font-weight: 600 }
svg polyline { fill: none; stroke-width: 2; stroke-linejoin: round; stroke: var(--other) }
svg polyline.main { stroke: var(--accent); stroke-width: 2.5 }
svg polyline.dash-0 { stroke-dasharray: 7 3 } svg polyline.dash-1 { stroke-dasharray: 2 3 }
svg polyline.dash-2 { stroke-dasharray: 9 3 2 3 } svg polyline.dash-3 { stroke-dasharray: 4 2 }
svg polyline.dash-4 { stroke-dasharray: 12 4 }
svg polyline.span { stroke-width: 1.25 }
svg polyline.error { stroke: var(--ink); stroke-width: 1.5 }
svg polyline.zero { stroke: var(--ink); stroke-width: 1 }
svg polyline.guide { stroke-width: 1; stroke-dasharray: 3 4 }
svg line { stroke: var(--line); stroke-width: 1 }
svg line.axis { stroke: var(--soft) } svg line.leader { stroke: var(--other) }
svg circle { fill: var(--other); stroke: var(--paper); stroke-width: 1.5 }
svg circle.main { fill: var(--accent) }
svg rect.main { fill: var(--accent) } svg rect.other { fill: var(--other) }
svg rect.faint { fill: var(--line) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .75rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); unicode-bidi: isolate; max-width: 26rem }
th { font-weight: 600 } thead th { color: var(--soft); font-weight: 500 }
tbody th { font-weight: 500; overflow-wrap: anywhere; min-width: 7rem }
td.number, th.number { text-align: right }
table.matrix { border-collapse: separate; border-spacing: 2px }
table.matrix th, table.matrix td { border: 0; padding: .2rem .45rem; text-align: center;
  min-width: 2.1rem; vertical-align: middle }
table.matrix th.said { font-weight: 500; white-space: nowrap }
table.matrix tbody th { text-align: right; min-width: 7rem; max-width: 12rem;
  position: sticky; left: 0; background: var(--paper) }
table.matrix td { --share: 0;
  background: color-mix(in srgb, var(--accent) calc(var(--share) * 1%), var(--card)) }
table.matrix td.right { font-weight: 700 }
table.matrix td.kind, table.matrix td.found { background: none }
table.matrix td.kind { color: var(--soft); font-size: .8rem; text-align: left; padding-top: .5rem }
.sheet { display: grid; gap: 1.25rem 1rem; padding: 0; margin: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(6.25rem, 1fr)) }
.pairs { display: grid; gap: 1.5rem 2.5rem; padding: 0; margin: 1.5rem 0 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)) }
.pairs p { margin: 0 0 .4rem; font-size: .875rem; font-weight: 600 }
.pairs > li > div { display: flex; gap: .6rem }
.thumb { width: 96px; font-size: .8rem; line-height: 1.35; color: var(--soft); margin: 0 }
.thumb img { display: block; width: 96px; height: 96px; object-fit: contain; margin-bottom: .35rem;
  background: var(--card); border-radius: 4px }
.thumb .gone { display: grid; place-items: center; width: 96px; height: 96px; padding: .25rem;
  margin-bottom: .35rem; background: var(--card); border-radius: 4px; text-align: center }
.thumb b { color: var(--ink); font-weight: 500; display: block }
.thumb b.said { color: var(--accent) }
details { margin-top: .75rem; font-size: .875rem } summary { cursor: pointer; color: var(--soft) }
details table { margin-top: .5rem }
.note { background: var(--card); border-radius: 6px; padding: .75rem 1rem; max-width: 46rem;
  font-size: .9375rem; margin: 0 0 1.75rem }
header .note { margin: 1.25rem 0 0 }
footer { color: var(--soft); font-size: .875rem; margin-top: 4rem }
@media print {
  h2, h3 { break-after: avoid } .pairs > li, .sheet > li, tr { break-inside: avoid }
  .scroll { overflow: visible } th { overflow-wrap: anywhere } }
"""

_RIGHT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
FROM_THE_RIGHT = re.compile(f"[{_RIGHT}](?:[{_RIGHT} ]*[{_RIGHT}])?")
"""Letters of scripts that are written from right to left."""

UNPARTED = re.compile(r"(?<=\d) (?=%|ms\b)")
"""What lies between a number and its unit."""
NUMBER = re.compile(r"[\d.]+ (?:%|ms)")

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the browser may load for the page: nothing. It holds also for what a name tries to."""


@dataclass(frozen=True)
class Figure:
    """title: the finding, in plain words; body: HTML; caption: how it was measured, for engineers.

    wide: it takes the page's whole width.
    """

    title: str
    body: str
    caption: str
    wide: bool = False

    def html(self) -> str:
        return (
            f"<figure{' class=wide' if self.wide else ''}><h3>{words(self.title)}</h3>"
            f"{self.body}<figcaption>{words(self.caption)}</figcaption></figure>"
        )


@dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    figures: Sequence[Figure]
    note: str = ""

    def html(self) -> str:
        figures = "".join(figure.html() for figure in self.figures)
        return (
            f'<section id="{self.anchor}"><h2>{words(self.title)}</h2>{note(self.note)}'
            f'<div class="figures">{figures}</div></section>'
        )


def page(
    title: str,
    lead: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    made: str,
    notes: Sequence[str] = (),
) -> str:
    """Return the whole HTML document. facts: (name, value) that a hurried reader takes away; notes:
    what they should know before they believe them."""
    shown = [section for section in sections if section.figures or section.note]
    links = "".join(f'<a href="#{s.anchor}">{words(s.title)}</a>' for s in shown)
    numbers = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{words(value)}</dd></div>" for name, value in facts
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        f'<header><h1>{words(title)}</h1><p class="lead">{words(lead)}</p>'
        f'<dl class="facts">{numbers}</dl>{"".join(map(note, notes))}'
        f'<nav aria-label="Sections">{links}</nav></header>\n'
        f"<main>{''.join(section.html() for section in shown)}</main>\n"
        f"<footer>{escape(made)}</footer>\n</body>\n</html>\n"
    )


def note(text: str) -> str:
    return f'<p class="note">{words(text)}</p>' if text else ""


def words(text: str) -> str:
    """Return running text as HTML: a number stays on the line of its unit, and a name that is
    written from right to left does not turn what stands around it."""
    return FROM_THE_RIGHT.sub(r"<bdi>\g<0></bdi>", UNPARTED.sub("\u00a0", escape(text)))


def bdi(name: str, most: int = 22) -> str:
    """Return a name in short as HTML that does not turn what stands around it."""
    return f"<bdi>{escape(shortened(name, most))}</bdi>"


def scrolling(body: str, name: str) -> str:
    """Return what may be wider than the page in a frame of its own. name: what is in it."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{body}</div>'
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], numbers: bool = False) -> str:
    """Return a table whose first column names the rows. numbers: the others are right-aligned."""
    kind = ' class="number"' if numbers else ""
    head = "".join(
        f'<th scope="col"{kind if i else ""}>{escape(name)}</th>' for i, name in enumerate(heads)
    )
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td{kind}>{_cell(str(cell))}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return scrolling(
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>",
        f"Table: {', '.join(filter(None, heads))}",
    )


def _cell(text: str) -> str:
    """Return a cell's text as HTML: a number on one line with its unit, a name as it is."""
    return words(text) if NUMBER.fullmatch(text) else escape(text)


def details(summary: str, body: str) -> str:
    """Return HTML that stays folded until the reader opens it."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def count(n: int, what: str) -> str:
    if n == 1:
        return f"1 {what}"
    return f"{n} {what}{'es' if what.endswith('s') else 's'}"
