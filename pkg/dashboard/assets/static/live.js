// SPDX-License-Identifier: Apache-2.0

// Keeps the page up to date: the server says when there is something new, and the parts
// that differ are replaced in place, so focus, scroll position and open parts stay.
(() => {
  "use strict";
  const base = document.body.dataset.base;
  let problems = -1;
  let bad = -1;
  let connected = true;
  let busy = false;
  let again = false;
  let closed = false;

  // keyOf identifies an element among its siblings.
  const keyOf = (node) => (node.nodeType === 1 ? node.id || node.dataset.key || node.getAttribute("aria-labelledby") || "" : "");

  // What the person at the screen has changed stays as it is.
  const kept = (element, name) => (name === "open" && element.tagName === "DETAILS") || name === "hidden" && element.id === "gone";

  const morph = (from, to) => {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName) {
      from.replaceWith(to);
      return;
    }
    if (from.nodeType !== 1) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    if (from.id === "said") return;
    for (const a of [...from.attributes]) if (!to.hasAttribute(a.name) && !kept(from, a.name)) from.removeAttribute(a.name);
    for (const a of to.attributes) if (from.getAttribute(a.name) !== a.value && !kept(from, a.name)) from.setAttribute(a.name, a.value);
    const keyed = new Map();
    for (const child of from.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
    let at = from.firstChild;
    for (const next of [...to.childNodes]) {
      const same = keyOf(next) ? keyed.get(keyOf(next)) : null;
      if (same) {
        if (same === at) at = at.nextSibling;
        else from.insertBefore(same, at);
        morph(same, next);
      } else if (at && !keyOf(at) && !keyOf(next) && at.nodeName === next.nodeName) {
        const old = at;
        at = at.nextSibling;
        morph(old, next);
      } else {
        from.insertBefore(next, at);
      }
    }
    while (at) {
      const old = at;
      at = at.nextSibling;
      old.remove();
    }
  };

  // A removed element that had the focus would leave the keyboard nowhere.
  const replace = (page) => {
    const focused = document.activeElement;
    document.title = page.title;
    for (const selector of ["main", "header nav", "footer"]) {
      const [from, to] = [document.querySelector(selector), page.querySelector(selector)];
      if (from && to) morph(from, document.adoptNode(to));
    }
    if (focused && focused !== document.body && !focused.isConnected) document.getElementById("main").focus({preventScroll: true});
  };

  const refresh = async () => {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      do {
        again = false;
        const response = await fetch(location.href, {credentials: "same-origin", cache: "no-store"});
        if (response.headers.get("Content-Type")?.startsWith("text/html")) {
          replace(new DOMParser().parseFromString(await response.text(), "text/html"));
        }
      } while (again);
    } catch {
      // The stream of events says whether the server is away.
    } finally {
      busy = false;
    }
  };

  const say = (text) => {
    document.getElementById("said").textContent = text;
  };

  const count = (n) => (n === 1 ? "1 problem" : `${n} problems`);

  // A browser has few connections to one server, so only the page that is shown has one.
  let events = null;
  const open = () => {
    if (events || closed || document.hidden) return;
    events = new EventSource(base + "events");
    events.addEventListener("open", () => {
      document.getElementById("gone").hidden = true;
    });
    events.addEventListener("change", (event) => {
      const now = JSON.parse(event.data);
      if (problems >= 0 && (now.problems !== problems || now.bad !== bad)) say(now.problems ? `${count(now.problems)}, ${now.bad} failing` : "Everything is well");
      if (now.connected !== connected) say(now.connected ? "The API answers again" : "The API does not answer");
      ({problems, bad, connected} = now);
      refresh();
    });
    events.addEventListener("error", () => {
      if (closed) return;
      document.getElementById("gone").hidden = false;
      const live = document.getElementById("live");
      live.textContent = "Away";
      live.dataset.state = "bad";
      // A browser does not try again after an answer that is no stream.
      if (events?.readyState === EventSource.CLOSED) {
        events = null;
        setTimeout(open, 5000);
      }
    });
  };
  const close = () => {
    events?.close();
    events = null;
  };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  addEventListener("pagehide", () => {
    closed = true;
    close();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  // The filter works while one types, and its address can be shared and reloaded.
  let typing = 0;
  document.addEventListener("input", (event) => {
    const form = event.target.closest("#filter");
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(async () => {
      const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      history.replaceState(null, "", "?" + query);
      await refresh();
      const found = document.querySelector("#filter .found");
      if (found) say(found.textContent);
    }, 200);
  });

  open();
})();
