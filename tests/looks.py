"""What can be measured of how a page looks: contrast, names, sizes, and what sticks out."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

LEAST_CONTRAST = 4.5
TARGET_PX = 44

_LOW_CONTRAST = """(least) => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (c) => [0, 1, 2].map((i) => c[i] / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const layer = rgba(getComputedStyle(at).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const bad = []; let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !element.checkVisibility({visibilityProperty: true})) continue;
    if (element.closest(".sr-only, noscript, .skip")) continue;
    seen += 1;
    const style = getComputedStyle(element);
    const drawn = element instanceof SVGElement;  // on a picture: its ground is its own outline
    const under = drawn ? over(rgba(style.stroke), [255, 255, 255]) : ground(element);
    const ink = rgba(drawn ? style.fill : style.color);
    const [a, b] = [light(over(ink, under)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const kind = element.getAttribute("class");
    if (ratio < least) bad.push(`${ratio.toFixed(2)} ${kind}: ${node.data.trim()}`);
  }
  return {seen, bad};
}"""

_SMALL = """(least) => [...document.querySelectorAll("button, summary, input, nav a, .button")]
  .filter((one) => one.checkVisibility() && !one.closest(".sr-only"))
  .map((one) => [one, one.getBoundingClientRect()])
  .filter(([one, box]) => box.height < least - 0.5 || box.width < least - 0.5)
  .map(([one, box]) => `${one.className} ${one.textContent} ${box.width} x ${box.height}`)"""

_STICKING_OUT = """() => {
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= wide) return [];
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility() && one.getBoundingClientRect().right > wide + 0.5)
    .map((one) => `${one.tagName} ${one.getAttribute("class")}`);
}"""

CONTROLS = {"button", "link", "textbox", "combobox", "checkbox", "region", "group", "img",
            "DisclosureTriangle", "navigation", "dialog"}  # fmt: skip
UNNAMED_MAY = {"group"}


def low_contrasts(page: Page) -> list[str]:
    """Return the visible texts whose contrast with their ground is below 4.5."""
    found = page.evaluate(_LOW_CONTRAST, LEAST_CONTRAST)
    assert found["seen"] > 5, "hardly any text is on the page"
    bad: list[str] = found["bad"]
    return bad


def small_targets(page: Page) -> list[str]:
    found: list[str] = page.evaluate(_SMALL, TARGET_PX)
    return found


def sticking_out(page: Page) -> list[str]:
    """Return what makes the page scroll sideways."""
    found: list[str] = page.evaluate(_STICKING_OUT)
    return found


def unnamed(page: Page) -> list[str]:
    """Return the roles of controls that a screen reader has no name for."""
    client = page.context.new_cdp_session(page)
    nodes: list[dict[str, Any]] = client.send("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in nodes if not node["ignored"] and node["role"]["value"] in CONTROLS]
    assert len(controls) > 3, "hardly any control is on the page"
    return [
        node["role"]["value"]
        for node in controls
        if not node.get("name", {}).get("value") and node["role"]["value"] not in UNNAMED_MAY
    ]
