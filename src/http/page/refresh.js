"use strict";
// Updates the page in place, so that the scroll position and the text in a field are kept. Nodes that did not
// change are left alone, so that a screen reader keeps its position.
(() => {
  const every = 10_000;
  const silence = document.getElementById("silence");
  let busy = false;

  const attributes = (old, next) => {
    for (const name of old.getAttributeNames()) {
      if (!next.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const name of next.getAttributeNames()) {
      const value = next.getAttribute(name);
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
  };

  const morph = (old, next) => {
    if (old.isEqualNode(next)) return;
    if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) {
      old.replaceWith(next);
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      old.data = next.data;
    } else {
      attributes(old, next);
      const olds = [...old.childNodes];
      const nexts = [...next.childNodes];
      olds.slice(nexts.length).forEach((gone) => gone.remove());
      nexts.forEach((node, i) => (i < olds.length ? morph(olds[i], node) : old.append(node)));
    }
  };

  const refresh = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { signal: AbortSignal.timeout(8_000) });
      const text = await answer.text();
      const next = new DOMParser().parseFromString(text, "text/html");
      const build = next.documentElement.dataset.build;
      if (!build) throw new Error("not the page");
      // Another version of the program made this document: its style would be refused by this page's policy.
      if (build !== document.documentElement.dataset.build) return location.reload();
      const icon = 'link[rel="icon"]';
      morph(document.querySelector(icon), next.querySelector(icon));
      if (document.title !== next.title) document.title = next.title;
      morph(document.body, next.body);
    } catch {
      silence.hidden = false;
    } finally {
      busy = false;
    }
  };

  setInterval(refresh, every);
  document.addEventListener("visibilitychange", refresh);
})();
