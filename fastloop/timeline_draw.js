// The picture: a row a task, the loops' callbacks and polls below, an axis above.

const AXIS = 22;
const MOST_ARROWS = 1500;
const FEW = 30;
const THREAD_ROWS = { calls: "callbacks", polls: "polls" };
const FONT = "12px system-ui, 'DejaVu Sans', sans-serif";
const COLOURS = [
  "page", "text", "muted", "line", "band", "chosen", "running", "ready", "new",
  "waiting", "waiting-edge", "waiting-text", "block", "wake", "call", "poll",
];

// A time in words: to a hundredth, or as exactly as steps of an axis need it.
function timeText(ns, step) {
  if (ns === 0) return "0";
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [unit, name] = units.find(([size]) => Math.abs(ns) >= size) ?? units[3];
  const size = Math.abs(ns / unit);
  const rough = size < 10 ? 2 : size < 100 ? 1 : 0;
  const digits = step ? Math.ceil(Math.log10(unit / step) - 1e-9) : rough;
  return `${(ns / unit).toFixed(unit === 1 ? 0 : Math.max(0, Math.min(9, digits)))} ${name}`;
}

// A canvas as large as it is shown, in the pixels of the screen.
function sized(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

class Picture {
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
    this.t0 = 0;
    this.t1 = model.length;
    this.top = 0;
    this.chosen = null; // {row, piece}
    this.thin = false;
    this.widths = new Map();
    this.show(model.lanes);
  }

  // Which tasks have a row, in this order.
  show(tasks) {
    const threads = this.model.threads.flatMap(
      (name, thread) => [{ thread, of: "calls" }, { thread, of: "polls" }]);
    const pinned = threads.length <= 4;
    this.pinned = pinned ? threads : [];
    this.rows = [...tasks.map((task) => ({ of: "task", task })), ...(pinned ? [] : threads)];
    this.rowOf = new Map(tasks.map((task, row) => [task.id, row]));
  }

  colours() {
    const probe = document.body.appendChild(document.createElement("i"));
    this.colour = {};
    for (const name of COLOURS) {
      probe.style.color = `var(--${name})`;
      this.colour[name] = getComputedStyle(probe).color;
    }
    probe.remove();
  }

  resize(width, tallest) {
    this.width = width;
    this.narrow = width < 600;
    this.gutter = this.narrow ? 0 : Math.min(280, Math.round(width * 0.24));
    this.rowHeight = this.thin ? 7 : this.narrow ? 40 : 26;
    this.bar = this.thin ? 6 : 18;
    this.barTop = this.thin ? 0 : this.narrow ? 18 : 4;
    this.fixed = this.pinned.length * this.rowHeight;
    this.content = AXIS + this.rows.length * this.rowHeight + this.fixed;
    this.height = Math.min(this.content, Math.max(AXIS + this.fixed + 120, tallest));
  }

  xOf(t) {
    const room = this.width - this.gutter - 14;
    return this.gutter + ((t - this.t0) / (this.t1 - this.t0)) * room;
  }

  tOf(x) {
    const room = this.width - this.gutter - 14;
    return this.t0 + ((x - this.gutter) / room) * (this.t1 - this.t0);
  }

  // The top of a row's bar; the pinned rows come after the others.
  yOf(row) {
    const at = row - this.rows.length;
    const y = at < 0 ? AXIS + row * this.rowHeight - this.top
      : this.height - this.fixed + at * this.rowHeight;
    return y + this.barTop;
  }

  rowAt(y) {
    if (y < AXIS) return -1;
    if (y >= this.height - this.fixed) {
      return this.rows.length +
        Math.min(this.pinned.length - 1,
          Math.floor((y - this.height + this.fixed) / this.rowHeight));
    }
    const row = Math.floor((y - AXIS + this.top) / this.rowHeight);
    return row < this.rows.length ? row : -1;
  }

  at(row) {
    return row < this.rows.length ? this.rows[row] : this.pinned[row - this.rows.length];
  }

  draw() {
    const started = performance.now();
    const context = sized(this.canvas, this.width, this.height);
    this.context = context;
    context.font = FONT;
    context.textBaseline = "middle";
    context.fillStyle = this.colour.page;
    context.fillRect(0, 0, this.width, this.height);
    const first = Math.max(0, Math.floor(this.top / this.rowHeight));
    const fits = Math.ceil((this.height - this.fixed - AXIS) / this.rowHeight) + 1;
    const last = Math.min(this.rows.length, first + fits);
    this.clipped(AXIS, this.height - this.fixed - AXIS, () => {
      for (let row = first; row < last; row++) this.drawRow(row);
      this.hidden = this.drawLinks(first, last);
      this.drawLost();
    });
    this.clipped(this.height - this.fixed, this.fixed, () => {
      this.pinned.forEach((_, i) => this.drawRow(this.rows.length + i));
    });
    this.drawAxis();
    this.drawn = (this.drawn ?? 0) + 1;
    this.took = performance.now() - started;
  }

  clipped(y, height, paint) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(0, y, this.width, Math.max(0, height));
    this.context.clip();
    paint();
    this.context.restore();
  }

  drawAxis() {
    const { context, colour } = this;
    context.fillStyle = colour.page;
    context.fillRect(0, 0, this.width, AXIS);
    const room = this.width - this.gutter;
    const rough = ((this.t1 - this.t0) / room) * 90;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
    context.textAlign = "left";
    for (let n = Math.ceil(this.t0 / step); n * step <= this.t1; n++) {
      const x = this.xOf(n * step);
      context.fillStyle = colour.line;
      context.fillRect(Math.round(x), AXIS - 6, 1, 6);
      context.fillStyle = colour.muted;
      const text = timeText(n * step, step);
      const room = this.width - x - 4 - this.measure(text);
      if (room > 0) context.fillText(text, x + 4, AXIS / 2);
    }
    context.fillStyle = colour.line;
    context.fillRect(0, AXIS - 1, this.width, 1);
    if (this.fixed) context.fillRect(0, this.height - this.fixed, this.width, 1);
  }

  drawRow(row) {
    const { context, colour } = this;
    const one = this.at(row);
    const y = this.yOf(row);
    const top = y - this.barTop;
    const chosen = this.chosen?.row === row;
    if (chosen || row % 2) {
      context.fillStyle = chosen ? colour.chosen : colour.band;
      context.fillRect(0, top, this.width, this.rowHeight);
    }
    context.save();
    context.beginPath();
    context.rect(this.gutter, top, this.width - this.gutter, this.rowHeight);
    context.clip();
    if (one.of === "task") this.drawTask(one.task, y);
    else this.drawThread(one, y);
    context.restore();
    if (!this.thin) this.drawLabel(one, y);
    else if (chosen) this.drawNote(one, y);
    if (chosen && this.chosen.piece) {
      const { begin, end } = this.chosen.piece;
      const x = Math.max(this.gutter, this.xOf(begin)) - 1;
      const width = Math.max(3, Math.min(this.width, this.xOf(end)) - x + 1);
      context.strokeStyle = colour.text;
      context.lineWidth = 2;
      if (x < this.width) context.strokeRect(x, y - 1, width, this.bar + 2);
    }
  }

  // The name of the chosen one where rows are too thin for names.
  drawNote(one, y) {
    this.context.fillStyle = this.colour.text;
    this.context.textAlign = "left";
    const name = one.of === "task" ? this.model.title(one.task.id) : THREAD_ROWS[one.of];
    if (this.gutter) this.context.fillText(this.fitted(name, this.gutter - 12), 6, y + 3);
  }

  drawLabel(one, y) {
    const { context, colour, narrow } = this;
    const indent = one.of === "task" ? Math.min(one.task.depth, 8) * 12 : 0;
    const room = (narrow ? this.width : this.gutter) - indent - 14;
    const middle = narrow ? y - 8 : y + this.bar / 2;
    const x = 6 + indent;
    context.textAlign = "left";
    if (indent) {
      context.fillStyle = colour.muted;
      context.fillRect(x - 9, middle - 7, 1, 7);
      context.fillRect(x - 9, middle, 6, 1);
    }
    const thread = this.model.threads.length > 1 ? ` in ${this.model.threads[one.thread]}` : "";
    const name = one.of === "task" ? one.task.name : THREAD_ROWS[one.of] + thread;
    context.fillStyle = one.of === "task" ? colour.text : colour.muted;
    const shown = this.fitted(name, room);
    context.fillText(shown, x, middle);
    if (one.of !== "task" || shown !== name) return;
    const used = this.measure(name) + 7;
    context.fillStyle = colour.muted;
    if (room - used > 20) {
      context.fillText(this.fitted(one.task.coroutine, room - used), x + used, middle);
    }
  }

  measure(text) {
    let width = this.widths.get(text);
    if (width === undefined) {
      width = this.context.measureText(text).width;
      if (this.widths.size > 20000) this.widths.clear();
      this.widths.set(text, width);
    }
    return width;
  }

  fitted(text, room) {
    if (this.measure(text) <= room) return text;
    let [low, high] = [0, text.length];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.measure(text.slice(0, middle) + "…") <= room) low = middle;
      else high = middle - 1;
    }
    return low ? text.slice(0, low) + "…" : "";
  }

  drawTask(task, y) {
    const { steps } = this.model;
    const lane = task.id - 1;
    if (task.unseen || task.start >= this.t1 || task.end < this.t0) return;
    const [first, last] = [steps.first(lane, this.t0), steps.before(lane, this.t1)];
    if (this.isDense(steps, first, last)) this.drawSums(task, y);
    else this.drawPieces(task, y);
    if (task.done <= this.t1 && !this.thin) this.drawOutcome(task, y);
  }

  // Whether spans have less than four pixels each, where they are; a few are drawn anyway.
  isDense(spans, first, last) {
    if (last - first < FEW) return false;
    const begin = Math.max(this.t0, spans.begin[first]);
    const end = Math.min(this.t1, spans.end[last - 1]);
    return (last - first) * 4 > this.xOf(end) - this.xOf(begin);
  }

  drawPieces(task, y) {
    const running = [];
    for (const piece of this.model.pieces(task.id, this.t0, this.t1)) {
      const x0 = Math.max(this.gutter - 2, this.xOf(piece.begin));
      const x1 = Math.min(this.width, this.xOf(piece.end));
      if (piece.state === "running") running.push([piece, x0, x1]);
      else if (x1 > x0) this.drawRest(piece, x0, x1, y);
    }
    for (const [piece, x0, x1] of running) {
      const block = this.model.steps.flags[piece.step] & BLOCK;
      this.drawBar(x0, x1, y, block ? "block" : "running", piece.end - piece.begin);
    }
  }

  drawRest(piece, x0, x1, y) {
    const { context, colour } = this;
    if (piece.state !== "waiting") {
      context.fillStyle = colour[piece.state];
      const margin = this.thin ? 1 : 4;
      context.fillRect(x0, y + margin, Math.max(1, x1 - x0), this.bar - 2 * margin);
      return;
    }
    if (this.thin) {
      context.fillStyle = colour["waiting-edge"];
      context.fillRect(x0, y + 2, x1 - x0, 2);
      return;
    }
    context.fillStyle = colour.waiting;
    context.fillRect(x0, y + 1, x1 - x0, this.bar - 2);
    context.fillStyle = colour["waiting-edge"];
    context.fillRect(x0, y + 1, x1 - x0, 1);
    context.fillRect(x0, y + this.bar - 2, x1 - x0, 1);
    if (x1 - x0 < 30 || piece.step < 0) return;
    const { names } = this.model.header;
    const name = names[this.model.steps.name[piece.step]];
    const room = x1 - x0 - 10;
    const short = room > 40 || this.measure(name) < room ? name : "";
    const text = [this.model.waitText(piece.step), `waits for ${name}`].find(
      (one) => name && this.measure(one) < room) ?? this.fitted(short, room);
    context.fillStyle = colour["waiting-text"];
    context.textAlign = "left";
    context.fillText(text, x0 + 5, y + this.bar / 2 + 0.5);
  }

  drawBar(x0, x1, y, name, took) {
    const { context, colour } = this;
    context.fillStyle = colour[name];
    context.fillRect(x0, y, Math.max(1.5, x1 - x0), this.bar);
    if (x1 - x0 < 44 || took === undefined || this.thin) return;
    const text = timeText(took);
    if (this.measure(text) > x1 - x0 - 8) return;
    context.fillStyle = colour.page;
    context.textAlign = "left";
    context.fillText(text, x0 + 4, y + this.bar / 2 + 0.5);
  }

  // Too many steps for their pixels: each column says which share of it was what.
  drawSums(task, y) {
    const { context, colour, model } = this;
    const from = Math.max(this.gutter, Math.floor(this.xOf(task.start)));
    const to = Math.min(this.width, Math.ceil(this.xOf(task.end)));
    context.fillStyle = colour.waiting;
    const margin = 1;
    context.fillRect(from, y + margin, to - from, this.bar - 2 * margin);
    const lane = task.id - 1;
    this.columns(model.readies, lane, from, to, (x, width, share) => {
      context.fillStyle = colour.ready;
      const height = Math.min(this.bar, Math.max(2, Math.round(share * this.bar)));
      context.fillRect(x, y, width, height);
    });
    this.columns(model.steps, lane, from, to, (x, width, share, block) => {
      context.fillStyle = block ? colour.block : colour.running;
      const height = Math.min(this.bar, Math.max(2, Math.round(share * this.bar)));
      context.fillRect(x, y + this.bar - height, width, height);
    });
  }

  // paint(x, width, share, block) for each run of pixel columns that look the same.
  columns(spans, lane, from, to, paint) {
    let [start, shown, red] = [from, 0, false];
    let before = spans.covered(lane, this.tOf(from));
    for (let x = from; x <= to; x++) {
      let [share, block] = [0, false];
      if (x < to) {
        const t = this.tOf(x + 1);
        const covered = spans.covered(lane, t);
        share = (covered - before) / (t - this.tOf(x));
        share = share > 0 ? Math.max(0.1, Math.round(share * this.bar) / this.bar) : 0;
        before = covered;
        if (share > 0) {
          const first = spans.first(lane, this.tOf(x));
          block = spans.blocks[spans.before(lane, t)] > spans.blocks[first];
        }
      }
      if (share !== shown || block !== red || x === to) {
        if (shown > 0) paint(start, x - start, shown, red);
        [start, shown, red] = [x, share, block];
      }
    }
  }

  drawThread({ thread, of }, y) {
    const spans = this.model[of];
    const [first, last] = [spans.first(thread, this.t0), spans.before(thread, this.t1)];
    if (this.isDense(spans, first, last)) {
      this.columns(spans, thread, this.gutter, this.width, (x, width, share, block) => {
        const height = Math.max(2, Math.round(share * this.bar));
        this.context.fillStyle = this.colour[block ? "block" : of.slice(0, 4)];
        this.context.fillRect(x, y + this.bar - height, width, height);
      });
    } else {
      for (let i = first; i < last; i++) {
        const x0 = Math.max(this.gutter - 2, this.xOf(spans.begin[i]));
        const x1 = Math.min(this.width, this.xOf(spans.end[i]));
        const block = spans.flags[i] & BLOCK;
        if (of === "calls") this.drawBar(x0, x1, y, block ? "block" : "call");
        else this.drawPoll(x0, x1, y);
      }
    }
    if (of === "polls") this.drawMarks(thread, y);
  }

  drawPoll(x0, x1, y) {
    this.context.fillStyle = this.colour.poll;
    this.context.fillRect(x0, y + this.bar / 3, Math.max(1, x1 - x0), this.bar / 3);
  }

  // Timers and descriptors that a poll found: a tick at the bar's foot, or its head.
  drawMarks(thread, y) {
    const { marks } = this.model;
    let before = -1;
    for (let i = this.model.firstOf(marks.time, marks.length, this.t0); i < marks.length; i++) {
      if (marks.time[i] >= this.t1) break;
      if (marks.thread[i] !== thread) continue;
      const x = Math.round(this.xOf(marks.time[i]));
      if (x === before) continue;
      before = x;
      this.context.fillStyle = this.colour.wake;
      const timer = marks.kind[i] === KIND.TIMER;
      this.context.fillRect(x, timer ? y + this.bar * 2 / 3 : y, 2, this.bar / 3);
    }
  }

  drawOutcome(task, y) {
    const { context, colour } = this;
    const x = this.xOf(task.end) + 8;
    const middle = y + this.bar / 2;
    context.strokeStyle = task.outcome === 1 ? colour.running
      : task.outcome === 2 ? colour.block : colour.text;
    context.lineWidth = 2;
    context.beginPath();
    if (task.outcome === 1) {
      context.moveTo(x - 4, middle);
      context.lineTo(x - 1, middle + 4);
      context.lineTo(x + 5, middle - 5);
    } else {
      context.moveTo(x - 4, middle - 4);
      context.lineTo(x + 4, middle + 4);
      if (task.outcome === 2) {
        context.moveTo(x - 4, middle + 4);
        context.lineTo(x + 4, middle - 4);
      } else {
        context.moveTo(x + 5, middle);
        context.arc(x, middle, 5, 0, 7);
      }
    }
    context.stroke();
  }

  // Who made whom, and who woke whom; returns how many wake-ups were too many to draw.
  drawLinks(first, last) {
    const { context, colour, model } = this;
    context.fillStyle = colour.muted;
    for (let row = first; row < last; row++) {
      const task = this.rows[row].task;
      const maker = task?.known ? this.rowOf.get(task.parent) : undefined;
      if (maker === undefined || task.made < this.t0 || task.made > this.t1) continue;
      const x = Math.round(this.xOf(task.made));
      const top = Math.max(AXIS, this.yOf(maker) + this.bar);
      for (let y = top; y < this.yOf(row) + 4; y += 4) context.fillRect(x, y, 1, 2);
    }
    const { wakes } = model;
    const from = model.firstOf(wakes.time, wakes.length, this.t0);
    const to = model.firstOf(wakes.time, wakes.length, this.t1);
    if (to - from > MOST_ARROWS || this.thin) return to - from;
    for (let i = from; i < to; i++) this.drawWake(i, first, last);
    return 0;
  }

  drawWake(wake, first, last) {
    const { wakes } = this.model;
    const row = this.rowOf.get(wakes.task[wake]);
    if (row === undefined) return;
    const by = wakes.waker[wake] ? this.rowOf.get(wakes.waker[wake]) : undefined;
    const inside = (one) => one !== undefined && one >= first && one < last;
    if (!inside(row) && !inside(by)) return;
    const x = Math.round(Math.max(this.gutter + 1, this.xOf(wakes.time[wake])));
    const y = this.yOf(row);
    // Who is no task is below.
    const down = by !== undefined && by < row;
    const tip = down ? y : y + this.bar;
    const tail = by === undefined ? y + this.bar + 7 : this.yOf(by) + (down ? this.bar : 0);
    if (by === row) return;
    const { context } = this;
    context.fillStyle = this.colour.wake;
    context.fillRect(x, Math.min(tail, tip), 2, Math.abs(tail - tip));
    const back = down ? -6 : 6;
    context.beginPath();
    context.moveTo(x + 1, tip);
    context.lineTo(x - 3, tip + back);
    context.lineTo(x + 5, tip + back);
    context.fill();
  }

  drawLost() {
    const { context, colour, model } = this;
    if (!model.header.lost || model.horizon >= this.t1) return;
    const x = Math.max(this.gutter, this.xOf(model.horizon));
    context.fillStyle = colour.line;
    for (let at = x; at < this.width; at += 8) context.fillRect(at, AXIS, 2, this.height);
    context.fillStyle = colour.text;
    const text = "the buffer was full";
    if (this.width - x < this.measure(text) + 16) return;
    context.fillStyle = colour.page;
    context.fillRect(x + 6, AXIS + 3, this.measure(text) + 8, 18);
    context.fillStyle = colour.text;
    context.textAlign = "left";
    context.fillText(text, x + 10, AXIS + 12);
  }

  // What is at a point: {row, piece}; a step rather than what it is too thin to hide.
  hit(x, y) {
    const row = this.rowAt(y);
    if (row < 0) return null;
    const one = this.at(row);
    if (x < this.gutter) return { row, piece: null };
    const near = this.tOf(x + 2.5) - this.tOf(x);
    const t = this.tOf(x);
    const pieces = one.of === "task"
      ? this.model.pieces(one.task.id, t - near, t + near)
      : this.model.threadPieces(one.of, one.thread, t - near, t + near);
    let found = null;
    let best = Infinity;
    let seen = 0;
    for (const piece of pieces) {
      if (++seen > 1000) break;
      const away = Math.max(piece.begin - t, t - piece.end, 0);
      const score = away + (piece.state === "waiting" || piece.state === "ready" ? near / 2 : 0);
      if (away <= near && score < best) [found, best] = [piece, score];
    }
    return { row, piece: found };
  }

  drawOverview(canvas, width, height) {
    const context = sized(canvas, width, height);
    const { colour, model } = this;
    context.fillStyle = colour.page;
    context.fillRect(0, 0, width, height);
    const share = height / Math.max(1, model.threads.length);
    const kept = [this.t0, this.t1];
    [this.t0, this.t1] = [0, model.length];
    const [left, right] = [this.xOf(0), this.xOf(model.length)];
    const [x0, x1] = kept.map((t) => this.xOf(t));
    model.threads.forEach((_, thread) => {
      this.columns(model.busy, thread, left, Math.ceil(right), (x, run, part, block) => {
        const tall = Math.max(2, part * (share - 3));
        context.fillStyle = block ? colour.block : colour.running;
        context.fillRect(x, (thread + 1) * share - tall, run, tall);
      });
    });
    [this.t0, this.t1] = kept;
    if (left) {
      context.fillStyle = colour.muted;
      context.textAlign = "left";
      context.font = FONT;
      context.textBaseline = "middle";
      context.fillText("busy", 6, height / 2);
    }
    context.fillStyle = colour.text;
    context.globalAlpha = 0.16;
    context.fillRect(left, 0, x0 - left, height);
    context.fillRect(x1, 0, right - x1, height);
    context.globalAlpha = 1;
    context.strokeStyle = colour.wake;
    context.lineWidth = 2;
    context.strokeRect(x0 + 1, 1, Math.max(3, x1 - x0) - 2, height - 2);
  }
}
