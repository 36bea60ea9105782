"use strict";
// Tables: a click on a heading sorts, a second one turns the order; cells may carry their number in data-v.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "descending";
      const numeric = head.classList.contains("n");
      const start = head.hasAttribute("aria-sort") ? (down ? 1 : -1) : numeric ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", start > 0 ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        return numeric ? parseFloat(cell.dataset.v ?? cell.textContent) : cell.textContent;
      };
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => {
        if (!numeric) return start * a.localeCompare(b, "en", { numeric: true });
        if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b); // what is unknown stays last
        return start * (a - b);
      });
      body.append(...rows.map(([, row]) => row));
    });
  });
}
for (const input of document.querySelectorAll("input.filter")) {
  const body = document.getElementById(input.dataset.table).tBodies[0];
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}
// Figures: a click opens them over the whole window; wheel, pinch and +/− zoom, dragging moves.
const dialog = document.createElement("dialog");
dialog.className = "zoom";
dialog.innerHTML =
  '<div class="tools"><button data-do="in" aria-label="zoom in">+</button><button data-do="out" aria-label="zoom out">−</button>' +
  '<button data-do="fit">Fit</button><button data-do="close">Close</button></div><img alt="" draggable="false">';
document.body.append(dialog);
const picture = dialog.querySelector("img");
let scale = 1, left = 0, top_ = 0;
const draw = () => { picture.style.transform = `translate(${left}px, ${top_}px) scale(${scale})`; };
const fit = () => {
  const wide = picture.naturalWidth || 1000, high = picture.naturalHeight || 800;
  picture.style.width = `${wide}px`;
  scale = Math.min(innerWidth / wide, innerHeight / high) * 0.97;
  left = (innerWidth - wide * scale) / 2;
  top_ = (innerHeight - high * scale) / 2;
  draw();
};
const zoom = (factor, x = innerWidth / 2, y = innerHeight / 2) => {
  const next = Math.min(Math.max(scale * factor, 0.1), 40);
  left = x - ((x - left) * next) / scale;
  top_ = y - ((y - top_) * next) / scale;
  scale = next;
  draw();
};
for (const button of document.querySelectorAll("figure button")) {
  button.addEventListener("click", () => {
    const image = button.querySelector("img");
    picture.src = image.src;
    picture.alt = image.alt;
    dialog.showModal();
    picture.decode().then(fit, fit);
  });
}
dialog.querySelector(".tools").addEventListener("click", (event) => {
  const what = event.target.dataset.do;
  if (what === "in") zoom(1.4);
  if (what === "out") zoom(1 / 1.4);
  if (what === "fit") fit();
  if (what === "close") dialog.close();
});
dialog.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * 0.0015), event.clientX, event.clientY);
}, { passive: false });
dialog.addEventListener("keydown", (event) => {
  if (event.key === "+") zoom(1.4);
  if (event.key === "-") zoom(1 / 1.4);
  if (event.key === "0") fit();
});
picture.addEventListener("dblclick", (event) => zoom(2, event.clientX, event.clientY));
const fingers = new Map();
picture.addEventListener("pointerdown", (event) => {
  fingers.set(event.pointerId, event);
  picture.setPointerCapture(event.pointerId);
  picture.classList.add("moving");
});
picture.addEventListener("pointermove", (event) => {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  if (fingers.size === 1) {
    left += event.clientX - before.clientX;
    top_ += event.clientY - before.clientY;
    draw();
  } else {
    const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)[1];
    const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
    if (apart(before) > 0) zoom(apart(event) / apart(before), other.clientX, other.clientY);
  }
  fingers.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"]) {
  picture.addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    picture.classList.remove("moving");
  });
}
