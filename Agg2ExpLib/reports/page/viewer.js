"use strict";
// Slices of a CT with the map of a label. Arrays run x fastest; x to the patient's right, y to the front, z upwards.
(async () => {
  const root = document.getElementById("viewer");
  const data = JSON.parse(document.getElementById("viewer-data").textContent);
  const [nx, ny, nz] = data.shape;
  const unpack = async (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const place = document.getElementById("v-place");
  if (typeof DecompressionStream === "undefined") {
    place.textContent = "This browser is too old to show the slices: open the page in a newer one.";
    return;
  }
  const [hu, segmentation] = await Promise.all([unpack(data.hu), unpack(data.segmentation)]);
  const maps = await Promise.all(data.maps.map(async (map) => ({ ...map, values: new Int8Array((await unpack(map.data)).buffer) })));

  // A byte back to HU, and HU to grey in the chosen window.
  const huOf = new Float32Array(256);
  for (let b = 0; b < 256; b++) {
    let k = 0;
    while (k < data.byteKnots.length - 2 && b > data.byteKnots[k + 1]) k++;
    const [b0, b1, h0, h1] = [data.byteKnots[k], data.byteKnots[k + 1], data.huKnots[k], data.huKnots[k + 1]];
    huOf[b] = h0 + ((b - b0) / (b1 - b0)) * (h1 - h0);
  }
  // Blue over white to red (ColorBrewer RdBu), which colour-blind readers can tell apart.
  const ramp = [[33, 102, 172], [103, 169, 207], [209, 229, 240], [253, 219, 199], [239, 138, 98], [178, 24, 43]];
  const colorOf = (value) => {
    const at = ((value + 1) / 2) * (ramp.length - 1);
    const low = Math.min(Math.floor(at), ramp.length - 2), part = at - low;
    return ramp[low].map((c, i) => c + part * (ramp[low + 1][i] - c));
  };
  const ask = (id) => document.getElementById(id);
  const fill = (select, options) => select.append(...options.map(([value, text]) => new Option(text, value)));
  fill(ask("v-label"), maps.map((map, i) => [i, map.title]));
  const shares = Object.keys(maps[0].percentiles).map(Number).sort((a, b) => a - b);
  fill(ask("v-percentile"), shares.map((p) => [p, `${+(100 - p).toFixed(1)} %`]));
  ask("v-percentile").value = 95;

  // Columns and rows of each plane run from the left and from the top.
  const planes = [
    { name: "axial", across: 2, size: [nx, ny], letters: "RLAP", voxel: (c, r, s) => [nx - 1 - c, ny - 1 - r, s], mm: [0, 1] },
    { name: "coronal", across: 1, size: [nx, nz], letters: "RLSI", voxel: (c, r, s) => [nx - 1 - c, s, nz - 1 - r], mm: [0, 2] },
    { name: "sagittal", across: 0, size: [ny, nz], letters: "APSI", voxel: (c, r, s) => [s, ny - 1 - c, nz - 1 - r], mm: [1, 2] },
  ];
  const at = [nx >> 1, ny >> 1, nz >> 1];
  const offset = ([x, y, z]) => x + nx * (y + ny * z);
  const box = root.querySelector(".planes");
  for (const plane of planes) {
    const [width, height] = plane.mm.map((axis, i) => plane.size[i] * data.spacing[axis]);
    const frame = document.createElement("div");
    frame.className = "plane";
    frame.style.flex = `${width} 1 0`;
    plane.canvas = document.createElement("canvas");
    [plane.canvas.width, plane.canvas.height] = plane.size;
    plane.canvas.style.aspectRatio = `${width} / ${height}`;
    plane.canvas.id = `v-${plane.name}`;
    const [left, right, top, bottom] = plane.letters;
    const note = (text, where) => Object.assign(document.createElement("span"), { textContent: text, className: where });
    frame.append(plane.canvas, note(plane.name, "name"), note(left, "left"), note(right, "right"), note(top, "top"), note(bottom, "bottom"));
    box.append(frame);
    plane.canvas.addEventListener("click", (event) => {
      const [c, r] = [event.offsetX / plane.canvas.clientWidth, event.offsetY / plane.canvas.clientHeight].map((part, i) =>
        Math.min(Math.floor(part * plane.size[i]), plane.size[i] - 1));
      move(plane.voxel(c, r, at[plane.across]));
      root.focus({ preventScroll: true });
    });
    plane.canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      leaf(plane.across, event.deltaY > 0 ? -1 : 1);
    }, { passive: false });
    plane.canvas.addEventListener("pointerenter", () => { active = plane; });
  }
  let active = planes[0];
  const leaf = (axis, step) => move(at.map((value, i) => (i === axis ? value + step : value)));
  const move = (voxel) => {
    voxel.forEach((value, i) => { at[i] = Math.max(0, Math.min(data.shape[i] - 1, Math.round(value))); });
    draw();
  };
  root.addEventListener("keydown", (event) => {
    const step = { ArrowUp: 1, ArrowRight: 1, PageUp: 5, ArrowDown: -1, ArrowLeft: -1, PageDown: -5 }[event.key];
    if (!step || event.target.tagName === "SELECT") return;
    event.preventDefault();
    leaf(active.across, step);
  });

  const draw = () => {
    const map = maps[ask("v-label").value];
    const threshold = map.percentiles[ask("v-percentile").value];
    const sign = ask("v-sign").value, shown = ask("v-map").checked, outlined = ask("v-outline").checked;
    const [low, high] = ask("v-window").value.split(",").map(Number);
    const grey = Uint8ClampedArray.from(huOf, (value) => (255 * (value - low)) / (high - low));
    const color = data.labels[map.index].color;
    for (const plane of planes) {
      const [width, height] = plane.size;
      const context = plane.canvas.getContext("2d");
      const image = context.createImageData(width, height);
      const inside = (c, r) => c >= 0 && r >= 0 && c < width && r < height &&
        segmentation[offset(plane.voxel(c, r, at[plane.across]))] === map.index;
      for (let r = 0, i = 0; r < height; r++) {
        for (let c = 0; c < width; c++, i += 4) {
          const index = offset(plane.voxel(c, r, at[plane.across]));
          const value = map.values[index] / 127, strength = Math.abs(value);
          let pixel = [grey[hu[index]], grey[hu[index]], grey[hu[index]]];
          const wanted = sign === "both" || (sign === "supporting") === value > 0;
          if (shown && wanted && strength > 0 && strength >= threshold) {
            const over = colorOf(Math.sign(value) * strength * strength);
            const opacity = 0.35 + 0.5 * strength * strength;
            pixel = pixel.map((g, k) => g + opacity * (over[k] - g));
          }
          if (outlined && inside(c, r) && !(inside(c - 1, r) && inside(c + 1, r) && inside(c, r - 1) && inside(c, r + 1))) pixel = [255, 216, 77];
          [image.data[i], image.data[i + 1], image.data[i + 2], image.data[i + 3]] = [...pixel, 255];
        }
      }
      context.putImageData(image, 0, 0);
    }
    const voxel = at.map((value) => value * data.step + (data.step - 1) / 2);
    const mm = [0, 1, 2].map((row) => data.affine[row].reduce((sum, part, i) => sum + part * (i < 3 ? voxel[i] : 1), 0));
    const under = data.labels[segmentation[offset(at)]].title;
    const sides = [mm[0] >= 0 ? "R" : "L", mm[1] >= 0 ? "A" : "P", mm[2] >= 0 ? "S" : "I"];
    place.textContent = `${sides.map((side, i) => `${side} ${Math.abs(mm[i]).toFixed(0)}`).join(" ")} mm · ${under} · ${Math.round(huOf[hu[offset(at)]])} HU`;
    root.dataset.at = at.join(",");
  };
  for (const id of ["v-label", "v-percentile", "v-sign", "v-window", "v-map", "v-outline"]) ask(id).addEventListener("change", draw);
  for (const button of document.querySelectorAll(".jump")) {
    button.addEventListener("click", () => {
      ask("v-label").value = maps.findIndex((map) => map.name === button.dataset.map);
      move(button.dataset.voxel.split(",").map((value) => Number(value) / data.step));
      root.scrollIntoView({ behavior: "smooth", block: "center" });
    });
  }
  // A place in the address, as in report.html#at=40,30,20&map=heart, opens there.
  const asked = new URLSearchParams(location.hash.slice(1));
  const named = maps.findIndex((map) => map.name === asked.get("map"));
  if (named >= 0) ask("v-label").value = named;
  const first = document.querySelector(".jump");
  const start = asked.get("at") || (named >= 0 ? (document.querySelector(`.jump[data-map="${CSS.escape(maps[named].name)}"]`) || {}).dataset : first && first.dataset);
  if (typeof start === "string") move(start.split(",").map((value) => Number(value) / data.step));
  else if (start && start.voxel) { if (named < 0) ask("v-label").value = maps.findIndex((map) => map.name === start.map); move(start.voxel.split(",").map((value) => Number(value) / data.step)); }
  else draw();
  root.dataset.ready = "yes";
})();
