// Masks as COCO has them: rasters, run lengths down the columns, their compressed text, polygons filled by COCO's rule.
// The same numbers as pictus.annotate.shapes.rle and pycocotools give; tests/web/desk/test_shapes.py compares them in a browser.

const FINE = 5;    // COCO draws outlines on a grid of fifths of a pixel
const ROOM = 64;   // px a raster grows beyond what is asked, so that a stroke does not grow it at every step

/** The part [x, y, width, height] of a picture and what is set there: u8 of 0 | 1, row by row. */
export class Raster {
  constructor(x = 0, y = 0, width = 0, height = 0, bits = new Uint8Array(width * height)) { Object.assign(this, { x, y, width, height, bits }); }

  get right() { return this.x + this.width; }
  get bottom() { return this.y + this.height; }
  has(x, y) { return x >= this.x && y >= this.y && x < this.right && y < this.bottom && this.bits[(y - this.y) * this.width + x - this.x] === 1; }
  copy() { return new Raster(this.x, this.y, this.width, this.height, this.bits.slice()); }

  /** Cover at least x1 <= x < x2, y1 <= y < y2 within a picture of this size. */
  grow(x1, y1, x2, y2, width, height) {
    if (this.width && x1 >= this.x && y1 >= this.y && x2 <= this.right && y2 <= this.bottom) return;
    const [ox1, oy1, ox2, oy2] = this.width ? [this.x, this.y, this.right, this.bottom] : [x1, y1, x2, y2];
    const left = Math.max(Math.min(ox1, x1 - ROOM), 0), top = Math.max(Math.min(oy1, y1 - ROOM), 0);
    const wide = Math.min(Math.max(ox2, x2 + ROOM), width) - left, high = Math.min(Math.max(oy2, y2 + ROOM), height) - top;
    const bits = new Uint8Array(wide * high);
    for (let row = 0; row < this.height; row += 1) bits.set(this.bits.subarray(row * this.width, (row + 1) * this.width), (row + this.y - top) * wide + this.x - left);
    Object.assign(this, { x: left, y: top, width: wide, height: high, bits });
  }

  /** Everything within `radius` of the line from one point to the other (px; a pixel counts by its middle). */
  stroke([ax, ay], [bx, by], radius, value, width, height) {
    const x1 = Math.max(Math.floor(Math.min(ax, bx) - radius), 0), y1 = Math.max(Math.floor(Math.min(ay, by) - radius), 0);
    const x2 = Math.min(Math.ceil(Math.max(ax, bx) + radius), width), y2 = Math.min(Math.ceil(Math.max(ay, by) + radius), height);
    if (x1 >= x2 || y1 >= y2) return null;
    if (value) this.grow(x1, y1, x2, y2, width, height);
    const dx = bx - ax, dy = by - ay, length = dx * dx + dy * dy, reach = radius * radius;
    for (let y = Math.max(y1, this.y); y < Math.min(y2, this.bottom); y += 1) {
      for (let x = Math.max(x1, this.x); x < Math.min(x2, this.right); x += 1) {
        const px = x + 0.5 - ax, py = y + 0.5 - ay, along = length ? Math.min(Math.max((px * dx + py * dy) / length, 0), 1) : 0;
        const ex = px - along * dx, ey = py - along * dy;
        if (ex * ex + ey * ey <= reach) this.bits[(y - this.y) * this.width + x - this.x] = value;
      }
    }
    return [x1, y1, x2, y2];
  }

  /** Set what is set in the other. */
  add(other, width, height) {
    if (!other.width) return;
    this.grow(other.x, other.y, other.right, other.bottom, width, height);
    for (let row = 0; row < other.height; row += 1) {
      const from = row * other.width, to = (row + other.y - this.y) * this.width + other.x - this.x;
      for (let column = 0; column < other.width; column += 1) this.bits[to + column] |= other.bits[from + column];
    }
  }

  /** Fill the hole around a pixel: how many were set; 0 where it is set already, -1 where the hole is open to the outside. */
  fill(x, y) {
    if (this.has(x, y)) return 0;
    if (x < this.x || y < this.y || x >= this.right || y >= this.bottom) return -1;
    const { width, height, bits } = this, first = (y - this.y) * width + x - this.x, seen = new Uint8Array(bits.length), found = [first];
    seen[first] = 1;
    for (let at = 0; at < found.length; at += 1) {
      const place = found[at], column = place % width, row = (place - column) / width;
      if (!column || !row || column === width - 1 || row === height - 1) return -1;
      for (const next of [place - 1, place + 1, place - width, place + width]) if (!seen[next] && !bits[next]) { seen[next] = 1; found.push(next); }
    }
    for (const place of found) bits[place] = 1;
    return found.length;
  }

  area() { let sum = 0; for (const bit of this.bits) sum += bit; return sum; }
}

// --- what changed, small enough to keep hundreds of --------------------------------------------------------------

/** The difference of two rasters (before may be smaller): runs of equal and of changed pixels over `after`. */
export const difference = (before, after) => {
  const runs = [];
  let run = 0, isChanged = 0;
  for (let row = 0, place = 0; row < after.height; row += 1) {
    const y = row + after.y, inRow = y >= before.y && y < before.bottom, from = (y - before.y) * before.width - before.x;
    for (let x = after.x; x < after.right; x += 1, place += 1) {
      const old = inRow && x >= before.x && x < before.right ? before.bits[from + x] : 0, now = old ^ after.bits[place];
      if (now !== isChanged) { runs.push(run); run = 0; isChanged = now; }
      run += 1;
    }
  }
  runs.push(run);
  return { x: after.x, y: after.y, width: after.width, height: after.height, runs: Uint32Array.from(runs) };
};

/** Turn every changed pixel over: the way there and the way back are the same. */
export const flip = (raster, patch, width, height) => {
  raster.grow(patch.x, patch.y, patch.x + patch.width, patch.y + patch.height, width, height);
  let place = 0;
  for (const [index, run] of patch.runs.entries()) {
    if (index % 2) for (let at = place; at < place + run; at += 1) {
      const column = at % patch.width, row = (at - column) / patch.width;
      raster.bits[(row + patch.y - raster.y) * raster.width + column + patch.x - raster.x] ^= 1;
    }
    place += run;
  }
};

// --- run lengths ------------------------------------------------------------------------------------------------

/** Run lengths of a raster in a picture of this size: down the columns, zeros first. */
export const runsOf = (raster, width, height) => {
  const counts = [];
  let last = 0, value = 0;  // where the run began, and what it holds
  const turn = (place) => { counts.push(place - last); last = place; value ^= 1; };
  for (let column = 0; column < raster.width; column += 1) {
    const start = (raster.x + column) * height + raster.y;
    if (value && raster.height < height) turn(start - raster.y);  // what lies above a smaller raster is not set
    for (let row = 0; row < raster.height; row += 1) if (raster.bits[row * raster.width + column] !== value) turn(start + row);
    if (value && raster.bottom < height) turn(start + raster.height);
  }
  if (value) turn(raster.right * height);
  if (width * height > last) counts.push(width * height - last);
  return counts;
};

/** COCO's text of run lengths: each from the fourth on less the one two before, in groups of five bits. */
export const textOf = (counts) => {
  let text = "";
  for (const [index, count] of counts.entries()) {
    let value = index > 2 ? count - counts[index - 2] : count, more = true;
    while (more) {
      const group = value & 0x1f;
      value >>= 5;
      more = group & 0x10 ? value !== -1 : value !== 0;
      text += String.fromCharCode((more ? group | 0x20 : group) + 48);
    }
  }
  return text;
};

export const countsOf = (text) => {
  const counts = [];
  for (let at = 0; at < text.length;) {
    let value = 0, place = 0, more = true;
    while (more) {
      const group = text.charCodeAt(at) - 48;
      value |= (group & 0x1f) << (5 * place);
      more = Boolean(group & 0x20);
      at += 1;
      place += 1;
      if (!more && group & 0x10) value |= -1 << (5 * place);
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
};

/** Where the runs of ones begin and end, in pixels read down the columns. */
const spans = (counts) => {
  const found = [];
  let place = 0;
  for (const [index, count] of counts.entries()) {
    if (index % 2 && count) found.push([place, place + count]);
    place += count;
  }
  return found;
};

/** Runs in a picture of this height -> the smallest raster that holds them. */
const rasterOf = (runs, height) => {
  let [x1, y1, x2, y2] = [Infinity, Infinity, 0, 0];
  for (const [start, end] of runs) {
    const first = Math.floor(start / height), last = Math.floor((end - 1) / height);
    x1 = Math.min(x1, first);
    x2 = Math.max(x2, last + 1);
    y1 = first === last ? Math.min(y1, start - first * height) : 0;
    y2 = first === last ? Math.max(y2, end - first * height) : height;
  }
  if (x2 <= x1) return new Raster();
  const raster = new Raster(x1, y1, x2 - x1, y2 - y1);
  for (const [start, end] of runs) for (let at = start; at < end; at += 1) {
    const column = Math.floor(at / height);
    raster.bits[(at - column * height - y1) * raster.width + column - x1] = 1;
  }
  return raster;
};

export const encode = (raster, width, height) => ({ size: [height, width], counts: textOf(runsOf(raster, width, height)) });
export const decode = ({ size, counts }) => rasterOf(spans(typeof counts === "string" ? countsOf(counts) : counts), size[0]);

/** One polygon [x1, y1, x2, y2, …] px filled as COCO fills it: a column changes where the outline crosses its middle. */
export const filled = (polygon, width, height) => {
  const corners = [];
  for (let at = 0; at < polygon.length; at += 2) corners.push([Math.trunc(FINE * polygon[at] + 0.5), Math.trunc(FINE * polygon[at + 1] + 0.5)]);
  const places = [];
  let before = null;
  const meet = (u, v) => {
    if (before && u !== before[0]) {
      const column = ((u < before[0] ? u : u - 1) + 0.5) / FINE - 0.5;
      if (Math.floor(column) === column && column >= 0 && column <= width - 1) places.push(column * height + Math.ceil(Math.min(Math.max(((v < before[1] ? v : before[1]) + 0.5) / FINE - 0.5, 0), height)));
    }
    before = [u, v];
  };
  for (const [index, corner] of corners.entries()) {
    const next = corners[(index + 1) % corners.length], dx = Math.abs(next[0] - corner[0]), dy = Math.abs(next[1] - corner[1]), isFlat = dx >= dy;
    const isTurned = isFlat ? corner[0] > next[0] : corner[1] > next[1], [start, end] = isTurned ? [next, corner] : [corner, next];
    const length = Math.max(dx, dy), slope = length ? (isFlat ? end[1] - start[1] : end[0] - start[0]) / length : 0;
    for (let step = 0; step <= length; step += 1) {
      const along = isTurned ? length - step : step, across = Math.trunc((isFlat ? start[1] : start[0]) + slope * along + 0.5);
      meet(isFlat ? start[0] + along : across, isFlat ? across : start[1] + along);
    }
  }
  places.sort((a, b) => a - b);
  const runs = [];
  for (let at = 0; at + 1 < places.length; at += 2) if (places[at + 1] > places[at]) runs.push([places[at], places[at + 1]]);
  return rasterOf(runs, height);
};

/** The union of polygons as one raster. */
export const filledAll = (polygons, width, height) => {
  const raster = new Raster();
  for (const polygon of polygons) raster.add(filled(polygon, width, height), width, height);
  return raster;
};
