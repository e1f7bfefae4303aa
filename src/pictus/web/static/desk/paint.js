// Masks on the screen: the visible part of each raster, sampled at the screen's own pixels, so that it costs by the
// size of the window and never by that of the picture.

/** Colours that the colour-blind tell apart (Okabe & Ito 2008), as on any picture; also in shapes.css. */
const COLOURS = [[255, 210, 63], [86, 180, 233], [0, 190, 140], [255, 138, 92], [204, 121, 167], [120, 150, 255], [240, 240, 240]];

export class Paint {
  constructor(sheet) { this.sheet = sheet; this.last = ""; }

  /** Draw what has a raster; nothing is done when neither a mask nor the view has changed. */
  show(things, chosen, opacity) {
    const { sheet } = this, ratio = window.devicePixelRatio || 1, canvas = sheet.paint;
    const width = Math.round(sheet.root.clientWidth * ratio), height = Math.round(sheet.root.clientHeight * ratio);
    const now = [width, height, sheet.k, sheet.x, sheet.y, chosen, opacity, ...things.map((one) => `${one.revision}:${one.raster?.x}:${one.raster?.width}`)].join();
    if (now === this.last && things.every((one, index) => one === this.things[index])) return;
    Object.assign(this, { last: now, things: [...things] });
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    const parts = things.map((thing, index) => ({ thing, index, part: thing.raster && this.part(thing.raster, ratio, width, height) })).filter(({ part }) => part);
    if (!parts.length) return;
    const left = Math.min(...parts.map(({ part }) => part[0])), top = Math.min(...parts.map(({ part }) => part[1]));
    const right = Math.max(...parts.map(({ part }) => part[2])), bottom = Math.max(...parts.map(({ part }) => part[3]));
    const image = pen.createImageData(right - left, bottom - top), pixels = new Uint32Array(image.data.buffer);
    for (const { thing, index, part } of parts) this.lay(thing.raster, part, pixels, [left, top, right - left], ratio, index, index === chosen ? opacity : opacity * 0.7);
    pen.putImageData(image, left, top);
  }

  /** Where a raster lies in px of the screen; null when it is out of sight. */
  part(raster, ratio, width, height) {
    const { k, x, y } = this.sheet;
    const x1 = Math.max(Math.floor((raster.x * k + x) * ratio), 0), y1 = Math.max(Math.floor((raster.y * k + y) * ratio), 0);
    const x2 = Math.min(Math.ceil((raster.right * k + x) * ratio), width), y2 = Math.min(Math.ceil((raster.bottom * k + y) * ratio), height);
    return x1 < x2 && y1 < y2 ? [x1, y1, x2, y2] : null;
  }

  lay(raster, [x1, y1, x2, y2], pixels, [left, top, wide], ratio, index, opacity) {
    const { k, x, y } = this.sheet, { width, height, bits } = raster, [red, green, blue] = COLOURS[index % COLOURS.length];
    const word = (alpha) => ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;  // little-endian, as all browsers run
    const area = word(opacity), edge = word(opacity ? 1 : 0.8);
    const columns = Int32Array.from({ length: x2 - x1 }, (_one, at) => Math.floor(((x1 + at + 0.5) / ratio - x) / k) - raster.x);
    const at = (column, row) => (column >= 0 && row >= 0 && column < width && row < height ? bits[row * width + column] : 0);
    for (let line = y1; line < y2; line += 1) {
      const row = Math.floor(((line + 0.5) / ratio - y) / k) - raster.y;
      if (row < 0 || row >= height) continue;
      const above = Math.floor(((line - 0.5) / ratio - y) / k) - raster.y, below = Math.floor(((line + 1.5) / ratio - y) / k) - raster.y;
      for (let place = 0, to = (line - top) * wide + x1 - left; place < columns.length; place += 1, to += 1) {
        const column = columns[place];
        if (column < 0 || column >= width || !bits[row * width + column]) continue;
        const isEdge = !at(columns[place - 1] ?? column - 1, row) || !at(columns[place + 1] ?? column + 1, row) || !at(column, above) || !at(column, below);
        pixels[to] = isEdge ? edge : area;
      }
    }
  }
}
