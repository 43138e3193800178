// The desk's few behaviours: keys, selections, copying, the menu on a narrow screen. Everything works without them.
(() => {
  "use strict";
  const typing = (node) => node.matches?.("input, textarea, select, [contenteditable]");
  const rows = () => [...document.querySelectorAll("main tbody tr[data-row]")];
  let waitingForPlace = false;

  const move = (step) => {
    const all = rows();
    if (!all.length) return;
    const now = all.findIndex((row) => row.classList.contains("at"));
    const next = all[Math.max(0, Math.min(all.length - 1, now + step))];
    all.forEach((row) => row.classList.remove("at"));
    next.classList.add("at");
    next.scrollIntoView({ block: "nearest" });
  };

  const go = (key) => {
    const link = document.querySelector(`.rail a[data-key="${CSS.escape(key)}"]`);
    if (link) link.click();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target)) return;
    if (waitingForPlace) {
      waitingForPlace = false;
      return go(event.key);
    }
    const row = document.querySelector("tr.at");
    const actions = {
      "/": () => document.querySelector(".search input[type=search]")?.focus(),
      j: () => move(1),
      k: () => move(-1),
      g: () => { waitingForPlace = true; },
      x: () => row?.querySelector("input[type=checkbox]")?.click(),
      Enter: () => row?.querySelector("a")?.click(),
      "?": () => document.querySelector("dialog.keys")?.showModal(),
    };
    if (!actions[event.key] || (event.key === "Enter" && event.target.closest("a, button, summary"))) return;
    event.preventDefault();
    actions[event.key]();
  });

  const count = (form) => {
    const picked = form.querySelectorAll("input[name=pick]:checked").length;
    form.querySelectorAll("[data-picked]").forEach((node) => { node.textContent = picked; });
    form.querySelectorAll(".bulk").forEach((node) => { node.hidden = picked === 0; });
  };

  document.addEventListener("change", (event) => {
    const node = event.target;
    if (node.matches("select[data-submit]")) node.form.requestSubmit();
    if (node.matches("input[data-all]")) {
      node.form.querySelectorAll("input[name=pick]").forEach((box) => { box.checked = node.checked; });
    }
    if (node.matches("input[data-all], input[name=pick]")) count(node.form);
  });

  document.addEventListener("click", async (event) => {
    const menu = event.target.closest("[data-menu]");
    if (menu) {
      const open = document.querySelector(".rail").classList.toggle("open");
      menu.setAttribute("aria-expanded", String(open));
    }
    const copy = event.target.closest("[data-copy]");
    if (copy && navigator.clipboard) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      copy.textContent = copy.dataset.copied;
    }
    if (event.target.closest("[data-print]")) window.print();
    if (event.target.closest("[data-close]")) event.target.closest("dialog").close();
  });

  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || button.hasAttribute("data-again")) return;
    setTimeout(() => { button.disabled = true; }, 0);
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("button[disabled]").forEach((button) => { button.disabled = false; });
    document.querySelectorAll("form").forEach(count);
  });
})();
