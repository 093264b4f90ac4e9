/** Elements without innerHTML: text is always text, whatever a slot is called. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an HTML element: h("button", {class: "button", onclick: f, "aria-label": "…"}, "text").
 * Properties that are functions become listeners, `style` is an object of CSS properties,
 * `dataset` one of data-…; false, null and undefined leave an attribute out, true sets it empty.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...any} children nodes, text, numbers, lists of them; null and false are left out
 * @returns {any}
 */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/**
 * The same for SVG.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...any} children
 * @returns {any}
 */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) set(element, name, value);
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/**
 * Sets one property as h() does; used to update what exists.
 * @param {any} element
 * @param {string} name
 * @param {any} value
 */
export function set(element, name, value) {
  if (typeof value === "function") element.addEventListener(name.replace(/^on/, ""), value);
  else if (name === "style")
    for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name === "value") element.value = value;
  else if (value === false || value == null) element.removeAttribute(name);
  else {
    const text = value === true ? "" : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/**
 * Sets the text only where it differs: nothing is announced, selected or laid out needlessly.
 * @param {Element} element
 * @param {string | number} text
 */
export function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/**
 * An icon of icons.svg. It is decoration: the word stands beside it or in the control's name.
 * @param {string} name
 * @param {string} [className]
 */
export function icon(name, className = "icon") {
  return s(
    "svg",
    { class: className, "aria-hidden": "true", focusable: "false" },
    s("use", { href: iconHref(name) }),
  );
}

/** @param {string} name */
export function iconHref(name) {
  return `/static/icons.svg#${name}`;
}

/**
 * Makes parent's children those of items, keeping the elements of known keys: what stands in its
 * place already is not touched, so that focus and pressed buttons survive.
 *
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => any} create returns an element; update(item) of it is called if it has one
 */
export function list(parent, items, keyOf, create) {
  /** @type {Map<string, any>} */
  const known = (parent.__keyed ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, element] of known) {
    if (!wanted.has(key)) {
      element.remove();
      known.delete(key);
    }
  }
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let element = known.get(key);
    if (!element) known.set(key, (element = create(item)));
    element.update?.(item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
}
