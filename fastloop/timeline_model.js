// What the picture shows, without a picture: tasks, their steps, what they waited for,
// who woke them. Times are nanoseconds since the recording began.

class Model {
  constructor(header, columns) {
    this.header = header;
    this.horizon = header.lost ? header.lost_from_ns : header.length_ns;
    this.length = Math.max(header.length_ns, 1);
    this.limit = header.limit_s * 1e9;
    this.threads = [...new Set(header.loops.map((loop) => loop[1]))];
    if (!this.threads.length) this.threads = ["no thread"];
    this.threadOf = new Map(
      header.loops.map(([id, thread]) => [id, this.threads.indexOf(thread)]));
    this.tasks = header.tasks.map(
      ([id, name, coroutine, loop, parent, place, outcome]) => ({
        id, name, coroutine, loop, parent, place, outcome, depth: 0,
        made: NaN, done: NaN, end: NaN, children: [],
      }));
    const events = new Events(this, columns);
    this.finish(events.ready);
    this.order();
  }

  task(id) {
    return this.tasks[id - 1];
  }

  title(id) {
    const task = this.task(id);
    if (!task) return "";
    return task.coroutine ? `${task.name} (${task.coroutine})` : task.name;
  }

  // One stretch in which a task can run and does not yet.
  pause(lane, since, t) {
    this.readies.close(this.readies.open(lane, Number.isNaN(since) ? t : since), t);
  }

  finish(ready) {
    for (const spans of [this.steps, this.calls]) spans.seal(this.horizon, this.limit);
    this.polls.seal(this.horizon, Infinity);
    this.busy = this.busy.packed();
    this.busy.seal(this.horizon, this.limit);
    const newest = this.tasks.findLastIndex((task) => !Number.isNaN(task.made));
    this.tasks.forEach((task, lane) => this.bound(task, ready[lane], lane > newest));
    this.readies.seal(this.horizon, Infinity);
    this.tasks.forEach((task) => this.sum(task));
    this.blocks = [...this.blocksOf(this.steps), ...this.blocksOf(this.calls)];
    this.blocks.sort((a, b) => a.begin - b.begin);
  }

  // From when to when there is something to draw of a task.
  bound(task, ready, late) {
    const lane = task.id - 1;
    const last = this.steps.from[lane + 1] - 1;
    const some = last >= this.steps.from[lane];
    const finished = !Number.isNaN(task.done);
    task.known = !Number.isNaN(task.made);
    // Made after the buffer was full.
    task.unseen = late && !some && !finished && this.header.lost > 0;
    task.start = task.known ? task.made : task.unseen ? this.length : 0;
    task.end = task.unseen ? this.length : this.horizon;
    if (finished) task.end = some ? this.steps.end[last] : task.done;
    const since = finished && some ? NaN : ready;
    this.pause(lane, Number.isNaN(since) ? task.end : since, task.end);
  }

  sum(task) {
    const lane = task.id - 1;
    const { from, own, flags, begin, end } = this.steps;
    task.steps = from[lane + 1] - from[lane];
    task.running = 0;
    for (let i = from[lane]; i < from[lane + 1]; i++) {
      if (!own[i] && flags[i] & OPEN) own[i] = end[i] - begin[i];
      task.running += own[i];
    }
    task.ready = this.readies.total(lane);
    const alive = task.end - task.start;
    task.waiting = Math.max(0, alive - this.steps.total(lane) - task.ready);
    task.longest = this.steps.longest(lane);
  }

  *blocksOf(spans) {
    for (let lane = 0; lane + 1 < spans.from.length; lane++) {
      for (let i = spans.from[lane]; i < spans.from[lane + 1]; i++) {
        if (!(spans.flags[i] & BLOCK)) continue;
        const of = spans === this.steps ? "task" : "calls";
        yield { of, lane, index: i, begin: spans.begin[i], end: spans.end[i] };
      }
    }
  }

  // Tasks below the one that made them, those of a thread together.
  order() {
    const roots = this.threads.map(() => []);
    for (const task of this.tasks) {
      const parent = task.parent < task.id ? this.task(task.parent) : undefined;
      if (parent) parent.children.push(task);
      else roots[this.threadOf.get(task.loop) ?? 0].push(task);
    }
    this.lanes = [];
    const stack = roots.flat().reverse();
    while (stack.length) {
      const task = stack.pop();
      const parent = task.parent < task.id ? this.task(task.parent) : undefined;
      task.depth = parent ? parent.depth + 1 : 0;
      this.lanes.push(task);
      for (let i = task.children.length; i--;) stack.push(task.children[i]);
    }
  }

  placeText(place) {
    const [file, line] = this.header.places[place] ?? ["", 0];
    return file ? `${file.split("/").at(-1)}:${line}` : "";
  }

  waitText(step) {
    const { name, place } = this.steps;
    if (!name[step]) return "";
    const at = this.placeText(place[step]);
    return `waits for ${this.header.names[name[step]]}${at ? ` at ${at}` : ""}`;
  }

  wakeText(wake) {
    const { waker, cause } = this.wakes;
    if (waker[wake]) return this.title(waker[wake]);
    return this.header.names[cause[wake]] || "something outside";
  }

  stepsOf(id) {
    const { from, begin, end, flags, wake } = this.steps;
    const list = [];
    for (let i = from[id - 1]; i < from[id]; i++) {
      const cause = wake[i] === NO_WAKE ? -1 : wake[i];
      list.push({
        index: i, begin: begin[i], end: end[i], block: !!(flags[i] & BLOCK),
        ready: this.readies.begin[i + id - 1], wake: cause,
      });
    }
    return list;
  }

  // What a task is doing from when to when: pieces that follow each other.
  *pieces(id, t0 = -Infinity, t1 = Infinity) {
    const task = this.task(id);
    const { from, begin, end } = this.steps;
    const lane = id - 1;
    const first = Math.max(from[lane], this.steps.first(lane, t0));
    const last = Math.min(from[id], this.steps.before(lane, t1) + 1);
    let before = first > from[lane] ? end[first - 1] : task.start;
    for (let i = first; i <= last; i++) {
      const ends = i < from[id] ? begin[i] : task.end;
      const step = i > from[lane] ? i - 1 : -1;
      const since = Math.max(before, Math.min(ends, this.readies.begin[i + lane]));
      if (since > before) yield { state: "waiting", begin: before, end: since, step };
      const fresh = step < 0 && task.known;
      if (ends > since) {
        yield { state: fresh ? "new" : "ready", begin: since, end: ends, step, next: i };
      }
      if (i >= from[id]) break;
      yield { state: "running", begin: begin[i], end: end[i], step: i };
      before = end[i];
    }
  }

  *threadPieces(of, thread, t0, t1) {
    const spans = this[of];
    for (let i = spans.first(thread, t0); i < spans.before(thread, t1); i++) {
      yield { state: of, begin: spans.begin[i], end: spans.end[i], step: i };
    }
  }

  // The first of a sorted column that is at t or later.
  firstOf(column, length, t) {
    let [low, high] = [0, length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (column[middle] >= t) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  waitsOf(id) {
    const waits = [...this.pieces(id)].filter((piece) => piece.state === "waiting");
    return waits.map(({ begin, end, step }) => ({
      begin, end, step,
      name: step < 0 ? "" : this.header.names[this.steps.name[step]],
      place: step < 0 ? 0 : this.steps.place[step],
    }));
  }

  wakesOf(id) {
    const { task, time, waker, cause } = this.wakes;
    const list = [];
    for (let i = 0; i < task.length; i++) {
      if (task[i] === id) {
        const name = this.header.names[cause[i]];
        list.push({ time: time[i], waker: waker[i], cause: name });
      }
    }
    return list;
  }

  // The sums of each task that lives in [t0, t1).
  visible(t0, t1) {
    const found = [];
    for (const task of this.lanes) {
      if (task.start >= t1 || task.end < t0) continue;
      const lane = task.id - 1;
      const alive = Math.min(task.end, t1) - Math.max(task.start, t0);
      const [running, ready] = [this.steps, this.readies].map(
        (spans) => spans.covered(lane, t1) - spans.covered(lane, t0));
      const steps = this.steps.before(lane, t1) - this.steps.first(lane, t0);
      const waiting = Math.max(0, alive - running - ready);
      found.push({ id: task.id, steps: Math.max(0, steps), running, ready, waiting });
    }
    return found;
  }

  matches(task, text) {
    const file = this.header.places[task.place]?.[0] ?? "";
    const inside = (word) => word.toLowerCase().includes(text);
    return inside(task.name) || inside(task.coroutine) || inside(file);
  }
}
