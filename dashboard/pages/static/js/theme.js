// Sets the theme before the first paint; a plain script, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try { return localStorage.getItem("theme"); } catch { return null; }
  };
  const apply = () => {
    root.dataset.theme = chosen() ?? (dark.matches ? "dark" : "light");
    dispatchEvent(new Event("themechange"));
  };
  dark.addEventListener("change", apply);
  addEventListener("themechoice", (event) => {
    try {
      if (event.detail) localStorage.setItem("theme", event.detail);
      else localStorage.removeItem("theme");
    } catch { root.dataset.theme = event.detail || root.dataset.theme; }
    apply();
  });
  apply();
})();
