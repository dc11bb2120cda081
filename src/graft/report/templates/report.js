
"use strict";
// Sorts tables, filters lists, and opens the examples behind a cell. Without it the page reads just as well.
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  const keyOf = (row, column, by) => {
    const cell = row.cells[column];
    if (by === "text") return cell.textContent.trim();
    return cell.dataset.sort === "" || cell.dataset.sort === undefined ? NaN : Number(cell.dataset.sort);
  };
  const compare = (a, b, by, sign) => {
    if (by === "text") return sign * a.localeCompare(b, undefined, { numeric: true });
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // the unknown stays last
    return sign * (a - b);
  };
  const sort = (table, head) => {
    const by = head.dataset.by, column = head.cellIndex;
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of all("th[aria-sort]", table)) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row, place) => ({ row, place, key: keyOf(row, column, by) }));
    rows.sort((a, b) => compare(a.key, b.key, by, sign) || a.place - b.place);
    body.append(...rows.map(({ row }) => row));
  };
  for (const table of all("table.sortable")) {
    for (const head of all("th[data-by]", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, head));
    }
    table.classList.add("is-sortable");
  }

  const show = (filter, wanted, told) => {
    const items = all("[data-item]", document.getElementById(filter.dataset.for));
    let n = 0;
    for (const item of items) {
      item.hidden = !wanted(item);
      n += !item.hidden;
    }
    for (const details of all("details", document.getElementById(filter.dataset.for))) {
      if (n < items.length && all("[data-item]:not([hidden])", details).length) details.open = true;
    }
    filter.querySelector(".all").hidden = n === items.length;
    filter.querySelector("[role=status]").textContent = n === items.length ? "" : told || `${n} of ${items.length}`;
  };
  for (const filter of all(".filter")) {
    const field = filter.querySelector("input");
    filter.hidden = false;
    field.addEventListener("input", () => {
      const words = field.value.trim().toLocaleLowerCase();
      show(filter, item => item.textContent.toLocaleLowerCase().includes(words));
    });
    filter.querySelector(".all").addEventListener("click", () => {
      field.value = "";
      show(filter, () => true);
      field.focus();
    });
  }

  for (const link of all("a[data-pair]")) {
    link.addEventListener("click", event => {
      const group = document.getElementById(link.hash.slice(1));
      const filter = document.querySelector(".filter[data-for=by-pair]");
      if (!group || !filter) return;
      event.preventDefault();
      filter.querySelector("input").value = "";
      show(filter, item => item === group, "1 pair");
      const title = group.querySelector("h4");
      title.focus({ preventScroll: true });
      filter.scrollIntoView({ block: "start" });
    });
  }

  // A table that goes on beyond the edge fades out there, and says so.
  const edges = box => {
    const left = box.scrollWidth - box.clientWidth - box.scrollLeft;
    box.classList.toggle("more-right", left > 1);
    box.classList.toggle("more-left", box.scrollLeft > 1);
    const hint = box.nextElementSibling;
    if (hint && hint.classList.contains("scroll-hint")) hint.hidden = box.scrollWidth - box.clientWidth <= 1;
  };
  for (const box of all(".scroll")) {
    const hint = document.createElement("p");
    hint.className = "scroll-hint";
    hint.textContent = "The table goes on: swipe it, or use the arrow keys.";
    hint.hidden = true;
    box.after(hint);
    box.addEventListener("scroll", () => edges(box), { passive: true });
    new ResizeObserver(() => edges(box)).observe(box);
  }

  // What is folded away is printed too, also where the browser does not know the style for it.
  addEventListener("beforeprint", () => all("details").forEach(details => { details.open = true; }));
})();
