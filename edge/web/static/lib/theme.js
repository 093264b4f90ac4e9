// A classic script in the head, so that the first paint has the right colours. Light or dark is
// the system's choice until the person makes one ("light" | "dark" in localStorage "stock.theme").
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try {
      return localStorage.getItem("stock.theme");
    } catch {
      return null; // storage is refused in some private windows: the system decides
    }
  };

  const apply = () => {
    const choice = chosen();
    root.dataset.theme =
      choice === "light" || choice === "dark" ? choice : system.matches ? "dark" : "light";
    const colour = document.querySelector('meta[name="theme-color"]');
    if (colour) colour.content = root.dataset.theme === "dark" ? "#121316" : "#f7f6f3";
  };

  apply();
  system.addEventListener("change", apply);
  addEventListener("storage", apply);
  addEventListener("stock-theme", apply); // sent by setTheme() of lib/prefs.js
})();
