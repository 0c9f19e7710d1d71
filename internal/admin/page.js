"use strict";
// Refreshes what the page shows in place, so that scrolling, open rows and a half-typed search stay. Without JavaScript the
// page reloads by itself.
(() => {
  const every = Number(document.body.dataset.refresh) * 1000;
  const stale = document.getElementById("stale");
  if (!every) return;

  const reading = () => {
    const selection = document.getSelection();
    return document.hidden || (selection && !selection.isCollapsed);
  };

  const keepOpen = (from, to) => {
    const open = new Map();
    for (const d of from.querySelectorAll("details")) open.set(d.dataset.key, d.open);
    for (const d of to.querySelectorAll("details")) {
      if (open.has(d.dataset.key)) d.open = open.get(d.dataset.key);
    }
  };

  const refresh = async () => {
    const response = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!response.ok) throw new Error("status " + response.status);
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    if (reading()) return;
    document.title = next.title;
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = next.getElementById(part.id);
      if (!fresh) continue;
      const focused = part.contains(document.activeElement) && document.activeElement.closest("details");
      keepOpen(part, fresh);
      part.replaceChildren(...fresh.childNodes);
      if (focused) {
        const again = [...part.querySelectorAll("details")].find((d) => d.dataset.key === focused.dataset.key);
        if (again) again.querySelector("summary").focus({ preventScroll: true });
      }
    }
  };

  const turn = async () => {
    if (!reading()) {
      try {
        await refresh();
        stale.hidden = true;
      } catch (e) {
        if (stale.hidden) {
          stale.textContent = "nightjar does not answer since " + new Date().toISOString().slice(11, 19) +
            " UTC. Below is what it said last. Trying again.";
          stale.hidden = false;
        }
      }
    }
    setTimeout(turn, every);
  };
  setTimeout(turn, every);
})();
