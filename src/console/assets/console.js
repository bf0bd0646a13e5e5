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

  // What was shown of a masked value goes away by itself; the page and what is written on it stay.
  const seen = find("[data-hide-after]");
  if (seen) {
    setTimeout(() => {
      seen.textContent = seen.dataset.mask;
      seen.className = "mask";
      for (const other of document.querySelectorAll("[data-hidden-too]")) other.remove();
    }, Number(seen.dataset.hideAfter) * 1000);
  }

  // How many are ticked, and all or none of them.
  const ticks = find("[data-ticks]");
  if (ticks) {
    const boxes = [...document.querySelectorAll("input[type=checkbox][name^='pick.']")];
    const count = () => {
      const number = boxes.filter((box) => box.checked).length;
      ticks.textContent = ticks.dataset.ticks.replace("{}", number);
      for (const label of document.querySelectorAll("[data-over]")) label.hidden = number <= Number(label.dataset.over);
    };
    for (const box of boxes) box.addEventListener("change", count);
    for (const button of document.querySelectorAll("[data-tick]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        for (const box of boxes) box.checked = button.dataset.tick === "all";
        count();
      });
    }
    count();
  }

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
  // somebody points at them, works in them with the keyboard, types, or has opened or written something in them. Parts that
  // are at one address come with one answer, and what the style sheet leaves out is not asked for. The button says what holds for what is on the
  // screen: it is followed, something waits, or nobody knows because the connection is lost.
  const parts = () => document.querySelectorAll("[data-follow]");
  const button = find("[data-live-button]");
  if (body.dataset.live === "true" && parts().length && window.EventSource) {
    let due = false;
    let lost = false;
    // How many answers are under way, and whether somebody was told meanwhile that there is more.
    let asking = 0;
    let more = false;
    // A part that is left out where the window is narrow.
    let passed = false;
    const typed = (field) => field.value !== field.defaultValue;
    const busy = (part) =>
      part.matches(":hover") || part.contains(document.activeElement) || part.querySelector("details[open]") ||
      [...part.querySelectorAll("input:not([type=checkbox]):not([type=radio]), textarea")].some(typed);
    // What is empty may be left out for as long as it is.
    const shown = (part) => !part.firstChild || getComputedStyle(part).display !== "none";
    const show = () => {
      const state = lost ? "lost" : due ? "waiting" : "live";
      if (!button || button.dataset.state === state) return;
      button.dataset.state = state;
      button.querySelector(".word").textContent = button.dataset[state];
      const said = find("[data-live-said]");
      // Nobody has to hear that all is well, unless it was not.
      if (said) said.textContent = state === "waiting" ? "" : button.dataset[state];
    };
    const ask = (address, found) => {
      if (found.length === 1) return htmx.trigger(found[0], "refresh");
      asking++;
      const selectOOB = found.map((part) => `#${part.id}:outerMorph`).join(",");
      htmx.ajax("GET", address, { source: found[0], swap: "none", selectOOB }).finally(() => {
        if (--asking || !more) return;
        more = false;
        refresh();
      });
    };
    const refresh = () => {
      if (asking) {
        more = true;
        return;
      }
      due = false;
      passed = false;
      const asked = new Map();
      for (const part of parts()) {
        if (!shown(part)) passed = true;
        else if (busy(part) || document.hidden) due = true;
        else asked.set(part.getAttribute("hx-get"), [...(asked.get(part.getAttribute("hx-get")) || []), part]);
      }
      asked.forEach((found, address) => ask(address, found));
      show();
    };
    window.addEventListener("resize", () => passed && [...parts()].every(shown) && refresh());
    let source;
    let again;
    const open = () => {
      source = new EventSource("/console/live");
      source.addEventListener("changed", refresh);
      source.addEventListener("open", () => {
        clearTimeout(again);
        again = undefined;
        // Whatever happened meanwhile was told to nobody.
        if (lost) refresh();
        lost = false;
        show();
      });
      source.addEventListener("error", () => {
        // Streams end by themselves now and then, and browsers open the next one: that is no loss.
        again ??= setTimeout(() => {
          again = undefined;
          if (source.readyState === EventSource.OPEN) return;
          lost = true;
          show();
          if (source.readyState === EventSource.CLOSED) setTimeout(() => source.readyState === EventSource.CLOSED && open(), 15000);
        }, source.readyState === EventSource.CLOSED ? 0 : 6000);
      });
    };
    open();
    window.addEventListener("online", () => {
      if (!lost) return;
      source.close();
      open();
    });
    window.addEventListener("offline", () => {
      lost = true;
      show();
    });
    document.addEventListener("mouseout", (event) => {
      const part = due && event.target.closest && event.target.closest("[data-follow]");
      if (part && !part.contains(event.relatedTarget)) refresh();
    });
    document.addEventListener("toggle", (event) => due && !event.target.open && refresh(), true);
    document.addEventListener("focusout", () => due && setTimeout(refresh));
    document.addEventListener("visibilitychange", () => due && !document.hidden && refresh());
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", (event) => event.persisted && open());
    // A claim that was lost while its holder writes: what is written stays.
    const claim = find("[data-lost-claim]");
    if (claim && find("[data-decide]")) {
      new MutationObserver(() => {
        const mark = find("#now [data-mine]");
        if (mark) claim.hidden = mark.dataset.mine === "true";
      }).observe(body, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-mine"] });
    }
  }

  // Whoever has a review open says so again every twenty seconds, for as long as it is seen; the part answers who else has.
  if (body.dataset.live === "true" && find("[data-present]")) {
    setInterval(() => {
      const part = find("[data-present]");
      if (part && !document.hidden) htmx.ajax("GET", part.dataset.present, { source: part, target: part, swap: "outerMorph" });
    }, 20000);
  }

  // Something is chosen or written, for the decision or for an act beside it, and would be left behind.
  const written = () => {
    const form = find("[data-decide]");
    if (!form) return null;
    const begun = (field) => (field.name === "choice" ? field.checked : field.matches("textarea, input[type=text]") && field.value.trim());
    return [...form.elements].some(begun) ? form : null;
  };

  // To where it is sent, or to the answers before there is one.
  const stay = (form) => [form.querySelector("button.primary"), form.querySelector("[name=choice]")].find((field) => field.offsetParent)?.focus();

  // A row of the list beside it leads away: once is told what that would leave behind, and who means it chooses that row again.
  const said = find("[data-begun]");
  let meant = "";
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".picks a:not(.skip)");
    const form = link && !event.ctrlKey && !event.metaKey && !event.shiftKey && written();
    if (!form || !said || meant === link.href) return;
    event.preventDefault();
    meant = link.href;
    said.textContent = said.dataset.begun;
    stay(form);
  });
  document.addEventListener("input", () => {
    meant = "";
    if (said) said.textContent = "";
  });

  // The list beside a review begins where its row is seen; the page itself stays.
  const current = find(".picks [aria-current]");
  if (current) {
    const list = current.closest(".picks");
    list.scrollTop = Math.max(0, current.offsetTop - list.clientHeight / 2);
  }

  // Keys.
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    const field = event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]");
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      const part = event.target.closest("[data-act], form") || find("[data-decide]");
      if (part) {
        event.preventDefault();
        send(part);
      }
      return;
    }
    // In one of the acts whose fields belong to the decision's form, Enter means that act.
    if (event.key === "Enter" && event.target.matches("[data-act] input")) {
      event.preventDefault();
      send(event.target.closest("[data-act]"));
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

  const send = (part) => {
    const button = part.querySelector("button.primary") || part.querySelector("button[formaction], button:not([type=button])");
    if (button) button.form.requestSubmit(button);
    else if (part.requestSubmit) part.requestSubmit();
  };
  let goes = false;
  const rows = () => [...document.querySelectorAll("tr.link a.go, li.link a.go")];
  const move = (by) => {
    const all = rows();
    if (!all.length) return false;
    let at = all.indexOf(document.activeElement);
    // Beside its list, a review is where one is.
    if (at < 0) at = all.findIndex((row) => row.hasAttribute("aria-current"));
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
    n: () => {
      const form = written();
      if (form) stay(form);
      else return press("[data-next]");
    },
    z: () => press("[data-undo]"),
    s: () => {
      const aside = find("[data-snooze]");
      if (!aside) return false;
      aside.open = true;
      aside.querySelector("input[name='said.snooze']").focus();
    },
    a: () => choose("approve"),
    r: () => choose("refuse"),
  };
})();
