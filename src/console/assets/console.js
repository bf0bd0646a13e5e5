// What scripts add to pages that work without them: keys, live updates, the time zone, and masks that come back.
// No inline handlers, no eval; everything is found by data attributes.
"use strict";
(() => {
  const body = document.body;
  const find = (selector) => document.querySelector(selector);

  // The reader's zone, for the next page; kept for a year.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const kept = "mozhao_zone=" + encodeURIComponent(zone);
  if (!document.cookie.split("; ").includes(kept)) {
    document.cookie = kept + "; Path=/; Max-Age=31536000; SameSite=Lax" + (location.protocol === "https:" ? "; Secure" : "");
  }

  // A menu closes when something else is meant.
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });

  // A form is sent once.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) return event.preventDefault();
    if (event.target.method === "post") event.target.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });

  // What was shown of a masked value goes away by itself.
  const seen = find("[data-hide-after]");
  if (seen) setTimeout(() => location.replace(seen.dataset.hideTo), Number(seen.dataset.hideAfter) * 1000);

  // A refusal's text follows its reason.
  for (const select of document.querySelectorAll("select[data-texts]")) {
    const show = () => {
      for (const text of document.querySelectorAll("[data-text-of]")) text.hidden = text.dataset.textOf !== select.value;
    };
    select.addEventListener("change", show);
    show();
  }

  // Evidence: only what did not pass.
  const only = find("[data-failed-only]");
  if (only) {
    only.hidden = false;
    only.querySelector("input").addEventListener("change", (event) => {
      for (const row of document.querySelectorAll("tr[data-passed]")) row.hidden = event.target.checked;
    });
  }

  // Live: the server says that something has changed, and the parts that follow are asked for anew — not while
  // somebody points at them, works in them with the keyboard, or types.
  const parts = document.querySelectorAll("[data-follow]");
  if (body.dataset.live === "true" && parts.length && window.EventSource) {
    let due = false;
    const busy = (part) => part.matches(":hover") || part.contains(document.activeElement);
    const refresh = () => {
      due = false;
      for (const part of parts) {
        if (busy(part) || document.hidden) due = true;
        else htmx.trigger(part, "refresh");
      }
    };
    const source = new EventSource("/console/live");
    source.addEventListener("changed", refresh);
    for (const part of parts) {
      part.addEventListener("mouseleave", () => due && refresh());
      part.addEventListener("focusout", () => due && setTimeout(refresh));
    }
    document.addEventListener("visibilitychange", () => due && !document.hidden && refresh());
    window.addEventListener("pagehide", () => source.close());
  }

  // Keys.
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const field = event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      const form = event.target.closest("form") || find("[data-decide]");
      if (form) {
        event.preventDefault();
        form.requestSubmit(form.querySelector("button.primary") || undefined);
      }
      return;
    }
    if (event.key === "Escape") {
      const menu = find("details.menu[open]");
      if (menu) {
        menu.open = false;
        menu.querySelector("summary").focus();
      } else if (field) field.blur();
      return;
    }
    if (field || event.ctrlKey || event.metaKey || event.altKey || body.dataset.keys !== "true") return;
    if (goes) {
      goes = false;
      const link = find(`[data-go="${CSS.escape(event.key)}"]`);
      if (link) link.click();
      return;
    }
    const act = keys[event.key];
    if (act && act(event) !== false) event.preventDefault();
  });

  let goes = false;
  const rows = () => [...document.querySelectorAll("tr.link a.go, li.link a.go")];
  const move = (by) => {
    const all = rows();
    if (!all.length) return false;
    const at = all.indexOf(document.activeElement);
    all[Math.min(Math.max(at + by, 0), all.length - 1)].focus();
  };
  const press = (selector) => {
    const button = find(selector);
    if (!button) return false;
    button.click();
  };
  const choose = (value) => {
    const radio = find(`[data-decide] input[name=choice][value=${value}]`);
    if (!radio) return press("[data-claim]");
    radio.checked = true;
    radio.dispatchEvent(new Event("change", { bubbles: true }));
    (find("[data-decide] textarea") || radio).focus();
  };
  const keys = {
    "?": () => location.assign("/console/help"),
    "/": () => {
      const search = find("[data-search]");
      if (!search) return false;
      search.focus();
      search.select();
    },
    g: () => {
      goes = true;
      setTimeout(() => (goes = false), 1500);
    },
    j: () => move(1),
    k: () => move(-1),
    c: () => press("[data-claim]"),
    n: () => press("[data-next]"),
    z: () => press("[data-undo]"),
    s: () => {
      const aside = find("[data-snooze]");
      if (!aside) return false;
      aside.open = true;
      aside.querySelector("input[name=note]").focus();
    },
    a: () => choose("approve"),
    r: () => choose("refuse"),
  };
})();
