// What the page says of a piece of the picture, in lines of {text, kind}.

const ENDED = {
  finished: "The program finished.",
  interrupted: "The program was interrupted.",
  stopped: "The recording was stopped while the program ran on.",
  exit: "The program left before its end: this is as far as it got.",
};

function countText(n, word) {
  return `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
}

function endedText(ended) {
  const [what, why] = ended.split(": ");
  if (what === "failed") return `The program failed${why ? ` with ${why}` : ""}.`;
  return ENDED[ended] ?? `The program ended: ${ended}.`;
}

class Words {
  constructor(model) {
    this.model = model;
  }

  place(place) {
    const [file, line, inside, source] = this.model.header.places[place] ?? ["", 0, "", ""];
    if (!file) return [];
    const lines = [{ text: `${file}:${line}${inside ? ` in ${inside}` : ""}`, kind: "muted" }];
    if (source.trim()) lines.push({ text: source.trim(), kind: "source" });
    return lines;
  }

  span({ begin, end }) {
    const precision = Math.max((end - begin) / 100, 1);
    const [from, to] = [timeText(begin, precision), timeText(end, precision)];
    return { text: `${timeText(end - begin)}, from ${from} to ${to}`, kind: "" };
  }

  wake(step) {
    const wake = this.model.steps.wake[step];
    if (wake === undefined || wake === NO_WAKE) return [];
    const at = this.model.wakes.time[wake];
    return [{ text: `woken by ${this.model.wakeText(wake)} at ${timeText(at)}`, kind: "" }];
  }

  // A row of a task as a whole.
  task(task) {
    const lines = [{ text: this.model.title(task.id), kind: "title" }];
    if (task.unseen) {
      return [...lines, { text: "made after the buffer was full: not drawn", kind: "" }];
    }
    lines.push({
      text: `${OUTCOMES[task.outcome]}; ${countText(task.steps, "step")}, ran ` +
        `${timeText(task.running)}, ready ${timeText(task.ready)}, ` +
        `waited ${timeText(task.waiting)}, longest step ${timeText(task.longest)}`,
      kind: "",
    });
    const last = this.model.steps.from[task.id] - 1;
    const some = last >= this.model.steps.from[task.id - 1];
    if (!task.outcome && some && this.model.steps.name[last]) {
      lines.push({ text: this.model.waitText(last), kind: "" });
      lines.push(...this.place(this.model.steps.place[last]));
    }
    if (task.place || task.parent) {
      const by = task.parent ? ` by ${this.model.title(task.parent)}` : "";
      lines.push({ text: `made${by}`, kind: "muted" }, ...this.place(task.place));
    }
    return lines;
  }

  piece(one, piece) {
    if (one.of !== "task") return this.threadPiece(one, piece);
    if (!piece) return this.task(one.task);
    const { model } = this;
    const title = model.title(one.task.id);
    const span = this.span(piece);
    if (piece.state === "running") return this.running(one.task, piece, span);
    if (piece.state === "waiting") {
      const wait = piece.step < 0 ? "" : model.waitText(piece.step);
      const lines = [{ text: `${title} ${wait || "waits"}`, kind: "title" }, span];
      if (piece.step >= 0) lines.push(...this.place(model.steps.place[piece.step]));
      const next = piece.step < 0 ? model.steps.from[one.task.id - 1] : piece.step + 1;
      return next < model.steps.from[one.task.id] ? [...lines, ...this.wake(next)] : lines;
    }
    const what = piece.state === "new" ? "waits for its first step" : "is ready to run";
    const lines = [{ text: `${title} ${what}`, kind: "title" }, span];
    if (piece.next < model.steps.from[one.task.id]) lines.push(...this.wake(piece.next));
    if (piece.state === "new") lines.push(...this.task(one.task).slice(-3));
    return lines;
  }

  running(task, piece, span) {
    const { steps } = this.model;
    const lines = [{ text: `${this.model.title(task.id)} runs`, kind: "title" }, span];
    if (steps.flags[piece.step] & BLOCK) {
      const limit = timeText(this.model.limit);
      const text = `a block: nothing else ran meanwhile (the limit is ${limit})`;
      lines.push({ text, kind: "block" });
    }
    if (steps.flags[piece.step] & OPEN) {
      lines.push({ text: "it had not ended when the recording did", kind: "" });
    }
    lines.push(...this.wake(piece.step));
    if (steps.name[piece.step]) {
      lines.push({ text: `then ${this.model.waitText(piece.step)}`, kind: "" });
    }
    if (steps.place[piece.step]) return [...lines, ...this.place(steps.place[piece.step])];
    // Its last one: where it went on from is known.
    const before = piece.step > steps.from[task.id - 1] ? steps.place[piece.step - 1] : 0;
    if (before) lines.push({ text: "it went on after", kind: "muted" }, ...this.place(before));
    return lines;
  }

  threadPiece(one, piece) {
    const { model } = this;
    const thread = model.threads[one.thread];
    if (!piece) return [{ text: `${THREAD_ROWS[one.of]} in ${thread}`, kind: "title" }];
    const span = this.span(piece);
    if (one.of === "polls") {
      const found = countText(model.polls.ready[piece.step], "descriptor");
      const text = `the loop in ${thread} waits: a poll, ${found} ready`;
      return [{ text, kind: "title" }, span, ...this.found(one.thread, piece)];
    }
    const name = model.header.names[model.calls.name[piece.step]];
    const lines = [{ text: `callback ${name}`, kind: "title" }, span];
    if (model.calls.flags[piece.step] & BLOCK) {
      lines.push({ text: "a block: nothing else ran meanwhile", kind: "block" });
    }
    return [...lines, ...this.place(model.calls.place[piece.step])];
  }

  // What a poll found, the first few of it.
  found(thread, { step, end }) {
    const { marks, polls } = this.model;
    const next = step + 1 < polls.from[thread + 1] ? polls.begin[step + 1] : Infinity;
    const lines = [];
    let i = this.model.firstOf(marks.time, marks.length, end);
    for (; i < marks.length && marks.time[i] < next && lines.length < 5; i++) {
      if (marks.thread[i] !== thread) continue;
      const timer = marks.kind[i] === KIND.TIMER;
      const value = marks.value[i];
      const what = timer ? `timer ${this.model.header.names[value]}` : `descriptor ${value}`;
      lines.push({ text: `${what}, ${timer ? "due" : "ready"}`, kind: "" });
    }
    return lines;
  }

  about() {
    const { header, tasks, steps } = this.model;
    const when = new Date(header.began * 1000).toLocaleString();
    return `${countText(tasks.length, "task")}, ${countText(steps.begin.length, "step")}, ` +
      `${countText(header.events, "event")} in ${timeText(header.length_ns)}; ` +
      `Python ${header.python}, fastloop ${header.fastloop}, ${when}`;
  }

  lost() {
    const { lost, lost_from_ns: from } = this.model.header;
    if (!lost) return "";
    return `The buffer was full at ${timeText(from)}: ` +
      `${countText(lost, "event")} after that did not fit and are not shown.`;
  }

  blocks() {
    const { blocks, limit } = this.model;
    if (!blocks.length) return "";
    const worst = blocks.reduce((a, b) => (b.end - b.begin > a.end - a.begin ? b : a));
    const who = worst.of === "task" ? this.model.title(worst.lane + 1)
      : this.model.header.names[this.model.calls.name[worst.index]];
    return `${countText(blocks.length, "block")} (over ${timeText(limit)}); ` +
      `the longest, ${timeText(worst.end - worst.begin)}, by ${who} `;
  }
}
