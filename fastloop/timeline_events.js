// From the events to spans in lanes: counted first, so that every column has its size.

class Events {
  constructor(model, columns) {
    Object.assign(this, { model, ...columns });
    this.tasks = model.tasks;
    this.stacks = model.threads.map(() => []);
    this.count();
    // Since when a task can run, or NaN; the first wake-up since its last step, or -1;
    // the step that it is in, or -1.
    this.ready = new Float64Array(this.tasks.length).fill(NaN);
    this.cause = new Int32Array(this.tasks.length).fill(-1);
    this.step = new Int32Array(this.tasks.length).fill(-1);
    const order = this.order();
    for (let i = 0; i < this.kind.length; i++) this.take(order ? order[i] : i);
  }

  // By time, if what several threads wrote is mixed; else null.
  order() {
    const { time } = this;
    let at = 1;
    while (at < time.length && time[at] >= time[at - 1]) at++;
    if (at >= time.length) return null;
    return Uint32Array.from(time, (_, i) => i).sort((a, b) => time[a] - time[b] || a - b);
  }

  threadOf(i) {
    const one = this.subject[i];
    const kind = this.kind[i];
    const loop = kind <= KIND.DONE ? this.tasks[one - 1].loop : one;
    return this.model.threadOf.get(loop) ?? 0;
  }

  count() {
    const of = (length) => new Uint32Array(length);
    const threads = this.model.threads.length;
    const [calls, polls, busy] = [of(threads), of(threads), of(threads)];
    const steps = of(this.tasks.length);
    const running = new Uint8Array(this.tasks.length);
    let [wakes, marks] = [0, 0];
    for (let i = 0; i < this.kind.length; i++) {
      const lane = this.subject[i] - 1;
      switch (this.kind[i]) {
        case KIND.BEGIN:
          steps[lane]++;
          running[lane] = 1;
          busy[this.threadOf(i)]++;
          break;
        case KIND.END: // of a step that began before the recording, else counted
          if (!running[lane]) steps[lane]++;
          running[lane] = 0;
          break;
        case KIND.CALL_BEGIN:
          calls[this.threadOf(i)]++;
          busy[this.threadOf(i)]++;
          break;
        case KIND.POLL_BEGIN: polls[this.threadOf(i)]++; break;
        case KIND.WOKEN: wakes++; break;
        case KIND.TIMER: case KIND.IO: marks++; break;
      }
    }
    this.allocate({ steps, calls, polls, busy, wakes, marks });
  }

  allocate({ steps, calls, polls, busy, wakes, marks }) {
    const model = this.model;
    const words = (size) => new Uint32Array(size);
    model.steps = new Spans(steps);
    model.readies = new Spans(steps.map((count) => count + 1));
    model.calls = new Spans(calls);
    model.polls = new Spans(polls);
    model.busy = new Spans(busy);
    const size = model.steps.begin.length;
    Object.assign(model.steps, {
      name: words(size), place: words(size), wake: words(size).fill(NO_WAKE),
      own: new Float64Array(size),
    });
    model.calls.name = words(model.calls.begin.length);
    model.calls.place = words(model.calls.begin.length);
    model.polls.ready = words(model.polls.begin.length);
    model.wakes = {
      length: 0, time: new Float64Array(wakes), task: words(wakes),
      waker: words(wakes), cause: words(wakes),
    };
    model.marks = {
      length: 0, time: new Float64Array(marks), kind: new Uint8Array(marks),
      thread: words(marks), value: words(marks),
    };
  }

  // What runs in a thread nests; the outermost is what keeps its loop busy.
  push(i, spans, index) {
    const thread = this.threadOf(i);
    const stack = this.stacks[thread];
    const busy = stack.length ? -1 : this.model.busy.open(thread, this.time[i]);
    stack.push({ spans, index, busy, inner: 0 });
  }

  pop(i, spans, index) {
    const stack = this.stacks[this.threadOf(i)];
    const t = this.time[i];
    if (!stack.some((one) => one.spans === spans)) return;
    while (stack.length) {
      const top = stack.pop();
      top.spans.close(top.index, t);
      if (top.busy >= 0) this.model.busy.close(top.busy, t);
      const took = t - top.spans.begin[top.index];
      if (top.spans.own) top.spans.own[top.index] = took - top.inner;
      if (stack.length) stack.at(-1).inner += took;
      if (top.spans === spans && (index < 0 || top.index === index)) return;
    }
  }

  take(i) {
    switch (this.kind[i]) {
      case KIND.MADE: return this.made(i);
      case KIND.BEGIN: return this.begin(i);
      case KIND.END: return this.end(i);
      case KIND.WOKEN: return this.woken(i);
      case KIND.DONE: return this.done(i);
      case KIND.CALL_BEGIN: return this.callBegin(i);
      case KIND.CALL_END: return this.pop(i, this.model.calls, -1);
      case KIND.POLL_BEGIN: return this.pollBegin(i);
      case KIND.POLL_END: return this.pollEnd(i);
      case KIND.TIMER: case KIND.IO: return this.mark(i);
    }
  }

  made(i) {
    const task = this.tasks[this.subject[i] - 1];
    task.made = this.time[i];
    task.place = this.place[i] || task.place;
    task.parent = this.other[i] || task.parent;
    this.ready[task.id - 1] = this.time[i];
  }

  begin(i) {
    const lane = this.subject[i] - 1;
    const t = this.time[i];
    const step = this.model.steps.open(lane, t);
    this.model.steps.wake[step] = this.cause[lane];
    this.model.pause(lane, this.ready[lane], t);
    this.ready[lane] = NaN;
    this.cause[lane] = -1;
    this.step[lane] = step;
    this.push(i, this.model.steps, step);
  }

  end(i) {
    const lane = this.subject[i] - 1;
    const t = this.time[i];
    const steps = this.model.steps;
    let step = this.step[lane];
    if (step < 0) {
      step = steps.open(lane, 0);
      this.model.pause(lane, NaN, 0);
      steps.own[step] = t;
      steps.close(step, t);
    } else {
      this.pop(i, steps, step);
    }
    steps.name[step] = this.other[i];
    steps.place[step] = this.place[i];
    this.step[lane] = -1;
    // One that waits for nothing, or was woken meanwhile, can run again at once.
    const yields = !this.other[i] && Number.isNaN(this.tasks[lane].done);
    if (yields || !Number.isNaN(this.ready[lane])) this.ready[lane] = t;
  }

  woken(i) {
    const wakes = this.model.wakes;
    const wake = wakes.length++;
    const lane = this.subject[i] - 1;
    wakes.time[wake] = this.time[i];
    wakes.task[wake] = lane + 1;
    wakes.waker[wake] = this.other[i];
    wakes.cause[wake] = this.other[i] ? 0 : this.place[i];
    if (this.cause[lane] < 0) this.cause[lane] = wake;
    if (Number.isNaN(this.ready[lane])) this.ready[lane] = this.time[i];
  }

  done(i) {
    const task = this.tasks[this.subject[i] - 1];
    task.done = this.time[i];
    task.outcome = this.other[i];
  }

  callBegin(i) {
    const calls = this.model.calls;
    const call = calls.open(this.threadOf(i), this.time[i]);
    calls.name[call] = this.other[i];
    calls.place[call] = this.place[i];
    this.push(i, calls, call);
  }

  pollBegin(i) {
    this.model.polls.open(this.threadOf(i), this.time[i]);
  }

  pollEnd(i) {
    const polls = this.model.polls;
    const poll = polls.next[this.threadOf(i)] - 1;
    if (poll < polls.from[this.threadOf(i)]) return;
    polls.close(poll, this.time[i]);
    polls.ready[poll] = this.other[i];
  }

  mark(i) {
    const marks = this.model.marks;
    const mark = marks.length++;
    marks.time[mark] = this.time[i];
    marks.kind[mark] = this.kind[i];
    marks.thread[mark] = this.threadOf(i);
    marks.value[mark] = this.other[i];
  }
}
