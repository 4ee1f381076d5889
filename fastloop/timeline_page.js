// The page around the picture: its tools, keys, table, and what is said of a piece.

const $ = (id) => document.getElementById(id);
const LEGEND = [
  ["running", "runs"], ["block", "blocks the loop"], ["ready", "ready"],
  ["waiting", "waits"], ["new", "before its first step"], ["wake", "woken by"],
  ["made", "made by"], ["call", "callback"], ["poll", "poll"],
  ["result", "done"], ["exception", "failed"], ["cancelled", "cancelled"],
];
const COLUMNS = [
  ["name", "Task"], ["coroutine", "Coroutine"], ["outcome", "Outcome"], ["steps", "Steps"],
  ["running", "Running"], ["ready", "Ready"], ["waiting", "Waiting"],
  ["longest", "Longest step"],
];
const PAGE_OF_ROWS = 200;

class Page {
  constructor(model) {
    this.model = model;
    this.words = new Words(model);
    this.picture = new Picture($("chart"), model);
    this.tasks = model.lanes;
    this.sort = { column: null, down: true };
    this.rowsShown = PAGE_OF_ROWS;
    this.pointers = new Map();
    this.say();
    this.chooseTheme(null);
    this.makeHead();
    this.listen();
    this.resize();
    this.fillTable();
    this.draw();
  }

  say() {
    const { header } = this.model;
    $("about").textContent = this.words.about();
    const none = this.model.tasks.length ? "" : " No task was there to be drawn.";
    $("ended").textContent = endedText(header.ended) + none;
    $("ended").classList.toggle("warning", header.ended !== "finished");
    for (const id of ["lost", "blocks"]) {
      $(id).textContent = this.words[id]();
      $(id).hidden = !$(id).textContent;
    }
    if (this.model.blocks.length) {
      const button = document.createElement("button");
      button.textContent = "Show the next (b)";
      button.onclick = () => this.nextBlock();
      $("blocks").append(button);
    }
    const tasks = countText(this.model.tasks.length, "task");
    $("chart").setAttribute("aria-label",
      `Timeline of ${tasks}; the table below has the same in numbers`);
  }

  chooseTheme(theme) {
    const root = document.documentElement;
    if (theme) root.dataset.theme = theme;
    const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    $("theme").textContent = dark ? "Light" : "Dark";
    this.dark = dark;
    this.picture.colours();
    this.fillLegend();
  }

  fillLegend() {
    $("legend").replaceChildren(...LEGEND.map(([what, text]) => {
      const item = document.createElement("li");
      const swatch = document.createElement("canvas");
      swatch.setAttribute("aria-hidden", "true");
      item.append(swatch, text);
      this.swatch(sized(swatch, 26, 16), what);
      return item;
    }));
  }

  swatch(context, what) {
    const { colour } = this.picture;
    const outcome = OUTCOMES.indexOf(what);
    if (outcome > 0) {
      const sample = Object.create(this.picture, { xOf: { value: () => 5 } });
      Object.assign(sample, { context, bar: 18 });
      sample.drawOutcome({ outcome, end: 0 }, -1);
      return;
    }
    context.fillStyle = colour[what] ?? colour.muted;
    if (what === "wake" || what === "made") {
      if (what === "wake") context.fillRect(12, 1, 2, 9);
      else for (let y = 1; y < 15; y += 4) context.fillRect(12, y, 1, 2);
      context.beginPath();
      context.moveTo(13, 15);
      context.lineTo(8, 8);
      context.lineTo(18, 8);
      if (what === "wake") context.fill();
      return;
    }
    const margin = { ready: 3, new: 3, poll: 5, waiting: 2 }[what] ?? 0;
    context.fillRect(0, margin, 26, 16 - 2 * margin);
    if (what !== "waiting") return;
    context.fillStyle = colour["waiting-edge"];
    context.fillRect(0, 2, 26, 1);
    context.fillRect(0, 13, 26, 1);
  }

  // -- the view

  resize() {
    const width = $("scroll").clientWidth;
    this.picture.resize(width, Math.round(window.innerHeight * 0.62));
    $("scroll").style.height = `${this.picture.height + 1}px`;
    $("lanes").style.height = `${this.picture.content}px`;
    $("chart").style.height = `${this.picture.height}px`;
    this.queue();
  }

  // Rows for names and words, or for many tasks at once.
  toggleThin() {
    const { picture } = this;
    const row = Math.floor($("scroll").scrollTop / picture.rowHeight);
    picture.thin = !picture.thin;
    $("thin").setAttribute("aria-pressed", String(picture.thin));
    this.resize();
    $("scroll").scrollTop = row * picture.rowHeight;
  }

  // Draw before the next frame, once.
  queue() {
    if (this.queued) return;
    this.queued = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.queued = 0;
    if ($("scroll").clientWidth !== this.picture.width) return this.resize();
    this.picture.top = $("scroll").scrollTop;
    this.picture.draw();
    const overview = $("overview");
    this.picture.drawOverview(overview, overview.clientWidth, overview.clientHeight);
    const { hidden, rows } = this.picture;
    const tasks = this.tasks.length;
    const found = this.query ? `${tasks.toLocaleString("en")} found` : "";
    const arrows = hidden ? `${hidden.toLocaleString("en")} wake-ups: zoom in for arrows` : "";
    const text = [found, rows.length ? arrows : ""].filter(Boolean).join("; ");
    if ($("found").textContent !== text) $("found").textContent = text;
  }

  look(t0, t1) {
    const least = 100;
    const length = this.model.length;
    const span = Math.min(length, Math.max(least, t1 - t0));
    const begin = Math.min(Math.max(0, (t0 + t1 - span) / 2), length - span);
    [this.picture.t0, this.picture.t1] = [begin, begin + span];
    this.queue();
  }

  zoom(factor, x) {
    const { t0, t1 } = this.picture;
    const t = x === undefined ? (t0 + t1) / 2 : Math.min(t1, Math.max(t0, this.picture.tOf(x)));
    this.look(t - (t - t0) / factor, t + (t1 - t) / factor);
  }

  pan(share) {
    const span = this.picture.t1 - this.picture.t0;
    this.moveTo(this.picture.t0 + span * share);
  }

  moveTo(t0) {
    const span = this.picture.t1 - this.picture.t0;
    const begin = Math.min(Math.max(0, t0), this.model.length - span);
    this.look(begin, begin + span);
  }

  // -- what is chosen

  choose(row, piece, reveal = true) {
    const { picture } = this;
    if (!picture.at(row)) return;
    picture.chosen = { row, piece };
    if (row < picture.rows.length) {
      const y = row * picture.rowHeight;
      const room = picture.height - picture.fixed - AXIS - picture.rowHeight;
      const top = $("scroll").scrollTop;
      if (y < top || y > top + room) $("scroll").scrollTop = y - room / 2;
    }
    if (piece && reveal) {
      const span = picture.t1 - picture.t0;
      const { begin, end } = piece;
      if (end <= picture.t0 || begin >= picture.t1) {
        this.moveTo(begin - Math.max(0, span - (end - begin)) / 2);
      }
    }
    this.tell($("details"), this.words.piece(picture.at(row), piece));
    this.queue();
  }

  tell(box, lines) {
    box.replaceChildren(...lines.map(({ text, kind }) => {
      const line = document.createElement("p");
      line.className = kind;
      line.textContent = text;
      return line;
    }));
  }

  forget() {
    this.picture.chosen = null;
    $("details").replaceChildren();
    this.queue();
  }

  chooseRow(by) {
    const { chosen, rows, pinned } = this.picture;
    const last = rows.length + pinned.length - 1;
    this.choose(chosen ? Math.min(last, Math.max(0, chosen.row + by)) : 0, null);
  }

  // The piece of the chosen row before or after the one that is chosen.
  choosePiece(by) {
    const { picture, model } = this;
    const row = picture.chosen?.row ?? 0;
    const one = picture.at(row);
    if (!one) return;
    const now = picture.chosen?.piece;
    if (one.of !== "task") return this.chooseSpan(row, one, now, by);
    const [t0, t1] = now ? [now.begin - 1, now.end + 1] : [picture.t0, picture.t1];
    const { steps } = model;
    const lane = one.task.id - 1;
    const wide = (i) => Math.max(steps.from[lane], Math.min(steps.from[lane + 1] - 1, i));
    const some = steps.from[lane] < steps.from[lane + 1];
    const begin = some ? steps.begin[wide(steps.first(lane, t0) - 2)] : -Infinity;
    const end = some ? steps.end[wide(steps.before(lane, t1) + 1)] : Infinity;
    const pieces = [...model.pieces(one.task.id, begin - 1, end + 1)];
    const at = now ? pieces.findIndex((p) => p.begin === now.begin && p.state === now.state)
      : by > 0 ? pieces.findIndex((p) => p.end > picture.t0) - 1
        : pieces.findLastIndex((p) => p.begin < picture.t1) + 1;
    const next = pieces[at + by];
    if (next) this.choose(row, next);
  }

  chooseSpan(row, one, now, by) {
    const spans = this.model[one.of];
    const from = now ? now.step + by : spans.first(one.thread, this.picture.t0);
    if (from < spans.from[one.thread] || from >= spans.from[one.thread + 1]) return;
    const [begin, end] = [spans.begin[from], spans.end[from]];
    this.choose(row, { state: one.of, begin, end, step: from });
  }

  zoomToChosen() {
    const piece = this.picture.chosen?.piece;
    if (!piece) return;
    const span = Math.max(piece.end - piece.begin, 10);
    this.look(piece.begin - span, piece.end + span);
  }

  nextBlock() {
    const { blocks } = this.model;
    if (!blocks.length) return;
    this.block = ((this.block ?? -1) + 1) % blocks.length;
    const { of, lane, index, begin, end } = blocks[this.block];
    if (of === "task") this.search("");
    const { picture } = this;
    const row = of === "task" ? picture.rowOf.get(lane + 1)
      : [...picture.rows, ...picture.pinned].findIndex(
        (one) => one.of === "calls" && one.thread === lane);
    const span = end - begin;
    if (begin < picture.t0 || end > picture.t1) this.look(begin - span * 2, end + span * 2);
    this.choose(row, { state: of === "task" ? "running" : "calls", begin, end, step: index });
  }

  // -- search and table

  search(text) {
    if ($("search").value.trim().toLowerCase() !== text) $("search").value = text;
    if ((this.query ?? "") === text) return;
    this.query = text;
    const { lanes } = this.model;
    this.tasks = text ? lanes.filter((task) => this.model.matches(task, text)) : lanes;
    this.picture.show(this.tasks);
    this.picture.chosen = null;
    this.found = -1;
    this.rowsShown = PAGE_OF_ROWS;
    $("scroll").scrollTop = 0;
    this.resize();
    this.fillTable();
  }

  nextFound() {
    if (!this.tasks.length) return;
    this.found = ((this.found ?? -1) + 1) % this.tasks.length;
    this.choose(this.found, null);
  }

  makeHead() {
    const row = document.createElement("tr");
    for (const [key, text] of COLUMNS) {
      const cell = row.appendChild(document.createElement("th"));
      cell.scope = "col";
      const button = cell.appendChild(document.createElement("button"));
      button.textContent = text;
      button.onclick = () => this.sortBy(key);
    }
    $("table").tHead.append(row);
  }

  sortBy(key) {
    const down = this.sort.column === key ? !this.sort.down : !["name", "coroutine"].includes(key);
    this.sort = { column: key, down };
    COLUMNS.forEach(([column], i) => {
      const order = column === key ? (down ? "descending" : "ascending") : "none";
      $("table").tHead.rows[0].cells[i].setAttribute("aria-sort", order);
    });
    this.rowsShown = PAGE_OF_ROWS;
    this.fillTable();
  }

  fillTable() {
    const { column, down } = this.sort;
    const tasks = [...this.tasks];
    if (column) {
      const sign = down ? -1 : 1;
      const order = new Intl.Collator("en", { numeric: true }).compare;
      tasks.sort((a, b) => sign * (typeof a[column] === "string"
        ? order(a[column], b[column]) : a[column] - b[column]) || a.id - b.id);
    }
    const body = document.createElement("tbody");
    for (const task of tasks.slice(0, this.rowsShown)) body.append(this.tableRow(task));
    $("table").tBodies[0].replaceWith(body);
    const left = tasks.length - this.rowsShown;
    $("more").hidden = left <= 0;
    $("more").textContent = `Show more (${left.toLocaleString("en")} left)`;
  }

  tableRow(task) {
    const row = document.createElement("tr");
    const button = document.createElement("button");
    button.textContent = task.name;
    button.onclick = () => {
      this.choose(this.picture.rowOf.get(task.id), null);
      $("chart").focus();
      $("scroll").scrollIntoView({ block: "nearest" });
    };
    row.appendChild(document.createElement("td")).append(button);
    for (const [key] of COLUMNS.slice(1)) {
      const cell = row.appendChild(document.createElement("td"));
      const value = task[key];
      cell.textContent = key === "outcome" ? OUTCOMES[value]
        : typeof value === "string" ? value
          : key === "steps" ? value.toLocaleString("en") : timeText(value);
    }
    return row;
  }

  // -- what the user does

  listen() {
    $("in").onclick = () => this.zoom(2);
    $("out").onclick = () => this.zoom(0.5);
    $("all").onclick = () => this.look(0, this.model.length);
    $("theme").onclick = () => {
      this.chooseTheme(this.dark ? "light" : "dark");
      this.queue();
    };
    $("thin").onclick = () => this.toggleThin();
    $("more").onclick = () => {
      this.rowsShown += PAGE_OF_ROWS * 5;
      this.fillTable();
    };
    $("search").oninput = (event) => this.search(event.target.value.trim().toLowerCase());
    $("scroll").onscroll = () => this.queue();
    window.addEventListener("resize", () => this.resize());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      if (document.documentElement.dataset.theme) return;
      this.chooseTheme(null);
      this.queue();
    });
    document.addEventListener("keydown", (event) => this.key(event));
    this.listenToPointer($("chart"));
    const overview = $("overview");
    overview.onpointerdown = overview.onpointermove = (event) => {
      if (!event.buttons) return;
      const { t0, t1 } = this.picture;
      const share = (this.picture.tOf(event.offsetX) - t0) / (t1 - t0);
      this.moveTo(share * this.model.length - (t1 - t0) / 2);
    };
  }

  listenToPointer(chart) {
    chart.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    chart.onpointerdown = (event) => this.press(event);
    chart.onpointermove = (event) => this.move(event);
    chart.onpointerup = chart.onpointercancel = (event) => this.release(event);
    chart.onpointerleave = () => { $("tip").hidden = true; };
    chart.onfocus = () => {
      if (!this.picture.chosen && !this.pointers.size) this.choose(0, null);
    };
  }

  wheel(event) {
    // Over the names it scrolls.
    if (event.offsetX < this.picture.gutter && !event.ctrlKey) return;
    event.preventDefault();
    const unit = [1, 16, 300][event.deltaMode];
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      this.pan(((event.deltaX || event.deltaY) * unit) / this.picture.width);
    } else {
      const speed = event.ctrlKey ? 0.01 : 0.002;
      this.zoom(Math.exp(-event.deltaY * unit * speed), event.offsetX);
    }
    $("tip").hidden = true;
  }

  press(event) {
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    try {
      $("chart").setPointerCapture(event.pointerId);
    } catch {
      // One that was let go already.
    }
    this.moved = this.pointers.size > 1;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return this.hover(event);
    const now = { x: event.offsetX, y: event.offsetY };
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    const { picture } = this;
    if (other) {
      const [was, is] = [Math.abs(before.x - other.x), Math.abs(now.x - other.x)];
      if (was > 4 && is > 4) this.zoom(is / was, (now.x + other.x) / 2);
    } else if (this.moved || Math.hypot(now.x - before.x, now.y - before.y) > 3) {
      this.moved = true;
      this.moveTo(picture.t0 + picture.tOf(before.x) - picture.tOf(now.x));
      if (event.pointerType === "mouse") $("scroll").scrollTop += before.y - now.y;
    } else {
      return;
    }
    this.pointers.set(event.pointerId, now);
    $("tip").hidden = true;
  }

  release(event) {
    const there = this.pointers.delete(event.pointerId);
    if (!there || this.moved || event.type !== "pointerup") return;
    const hit = this.picture.hit(event.offsetX, event.offsetY);
    if (hit) this.choose(hit.row, hit.piece, false);
  }

  hover(event) {
    const hit = this.picture.hit(event.offsetX, event.offsetY);
    const tip = $("tip");
    tip.hidden = !hit || !(hit.piece || event.offsetX < this.picture.gutter);
    if (tip.hidden) return;
    this.tell(tip, this.words.piece(this.picture.at(hit.row), hit.piece));
    const { offsetWidth: width, offsetHeight: height } = tip;
    const x = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 8));
    const below = event.clientY + 18 + height < innerHeight;
    tip.style.left = `${x}px`;
    tip.style.top = `${below ? event.clientY + 18 : Math.max(4, event.clientY - height - 10)}px`;
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target === $("search")) return this.keyInSearch(event);
    const anywhere = {
      "+": () => this.zoom(2), "=": () => this.zoom(2), "-": () => this.zoom(0.5),
      0: () => this.look(0, this.model.length), b: () => this.nextBlock(),
      r: () => this.toggleThin(), "/": () => $("search").focus(),
      Escape: () => { this.search(""); this.forget(); },
    };
    const inChart = {
      ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2),
      ArrowUp: () => this.chooseRow(-1), ArrowDown: () => this.chooseRow(1),
      Home: () => this.moveTo(0), End: () => this.moveTo(this.model.length),
      PageUp: () => this.chooseRow(-10), PageDown: () => this.chooseRow(10),
      ",": () => this.choosePiece(-1), ".": () => this.choosePiece(1),
      Enter: () => this.zoomToChosen(),
    };
    const act = anywhere[event.key] ?? (event.target === $("chart") ? inChart[event.key] : null);
    if (!act) return;
    event.preventDefault();
    act();
  }

  keyInSearch(event) {
    if (event.key === "Enter") this.nextFound();
    if (event.key !== "Escape") return;
    event.preventDefault();
    this.search("");
    $("chart").focus();
  }
}

async function start() {
  const header = JSON.parse($("header").textContent);
  const times = [performance.now()];
  const columns = await columnsOf($("columns").textContent, header.events);
  $("columns").remove();
  times.push(performance.now());
  const model = new Model(header, columns);
  times.push(performance.now());
  const page = new Page(model);
  times.push(performance.now());
  window.timeline = { model, page, picture: page.picture, times };
}

window.ready = start().catch((error) => {
  $("ended").textContent = `The picture could not be drawn: ${error}`;
  $("ended").className = "warning";
  throw error;
});
