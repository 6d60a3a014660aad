/** Dark or light: the system's choice until the reader makes one. */

const system = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
}

function store(theme) {
  root.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    return; // private windows may refuse storage: the choice then lasts for this page
  }
}

function restore() {
  try {
    const theme = localStorage.getItem("theme");
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  } catch {
    return;
  }
}

restore();
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-action=theme]")) {
    const label = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      store(isDark() ? "light" : "dark");
      label();
    });
    label();
  }
});
