// The events as they come, and spans of time, the shape that all drawing works on.

const KIND = {
  MADE: 1, BEGIN: 2, END: 3, WOKEN: 4, DONE: 5, CALL_BEGIN: 6, CALL_END: 7,
  POLL_BEGIN: 8, POLL_END: 9, TIMER: 10, IO: 11,
};
const OUTCOMES = ["pending", "result", "exception", "cancelled"];
const OPEN = 1;
const BLOCK = 2;
const NO_WAKE = 0xffffffff;

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// The events' columns out of the page: inflated, then cut.
async function columnsOf(text, count) {
  const packed = bytesOf(text);
  const stream = new Blob([packed]).stream().pipeThrough(
    new DecompressionStream("deflate"));
  const raw = await new Response(stream).arrayBuffer();
  let at = Math.ceil(count / 8) * 8;
  const kind = new Uint8Array(raw, 0, count);
  const time = new Float64Array(raw, at, count);
  at += 8 * count;
  const [subject, other, place] = [0, 1, 2].map(
    (i) => new Uint32Array(raw, at + 4 * count * i, count));
  return { kind, time, subject, other, place };
}

// Spans of time in lanes: those of a lane one after the other, sorted by begin. They may
// nest. `covered` is the sum of their union, so a pixel costs two searches however many
// spans it hides.
class Spans {
  constructor(counts) {
    this.from = new Uint32Array(counts.length + 1);
    counts.forEach((count, lane) => {
      this.from[lane + 1] = this.from[lane] + count;
    });
    const size = this.from[counts.length];
    this.begin = new Float64Array(size);
    this.end = new Float64Array(size);
    this.flags = new Uint8Array(size);
    this.sum = new Float64Array(size);
    this.reach = new Float64Array(size);
    this.blocks = new Uint32Array(size + 1);
    this.next = this.from.slice(0, -1);
  }

  open(lane, begin) {
    const i = this.next[lane]++;
    this.begin[i] = begin;
    this.flags[i] = OPEN;
    return i;
  }

  close(i, end) {
    this.end[i] = end;
    this.flags[i] &= ~OPEN;
  }

  // To be called once, when all are there.
  seal(horizon, limit) {
    for (let lane = 0; lane + 1 < this.from.length; lane++) {
      let sum = 0;
      let reach = -Infinity;
      for (let i = this.from[lane]; i < this.from[lane + 1]; i++) {
        if (this.flags[i] & OPEN) this.end[i] = Math.max(horizon, this.begin[i]);
        const end = this.end[i];
        sum += Math.max(0, end - Math.max(this.begin[i], reach));
        reach = Math.max(reach, end);
        this.sum[i] = sum;
        this.reach[i] = reach;
        if (end - this.begin[i] > limit) this.flags[i] |= BLOCK;
        this.blocks[i + 1] = this.blocks[i] + (this.flags[i] & BLOCK ? 1 : 0);
      }
    }
  }

  search(lane, column, over) {
    let low = this.from[lane];
    let high = this.from[lane + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (over(column[middle])) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // The spans of [t0, t1) are those from first(t0) to before(t1).
  first(lane, t) {
    return this.search(lane, this.reach, (end) => end > t);
  }

  before(lane, t) {
    return this.search(lane, this.begin, (begin) => begin >= t);
  }

  covered(lane, t) {
    const i = this.before(lane, t) - 1;
    return i < this.from[lane] ? 0 : this.sum[i] - Math.max(0, this.reach[i] - t);
  }

  total(lane) {
    const last = this.from[lane + 1];
    return last > this.from[lane] ? this.sum[last - 1] : 0;
  }

  // Without the room that was not used.
  packed() {
    const spans = new Spans(this.next.map((next, lane) => next - this.from[lane]));
    this.next.forEach((next, lane) => {
      for (const column of ["begin", "end", "flags"]) {
        const used = this[column].subarray(this.from[lane], next);
        spans[column].set(used, spans.from[lane]);
      }
    });
    return spans;
  }

  longest(lane) {
    let longest = 0;
    for (let i = this.from[lane]; i < this.from[lane + 1]; i++) {
      longest = Math.max(longest, this.end[i] - this.begin[i]);
    }
    return longest;
  }

  // The innermost span at t, or -1.
  at(lane, t) {
    for (let i = this.before(lane, t + 1) - 1; i >= this.first(lane, t); i--) {
      if (this.end[i] > t) return i;
    }
    return -1;
  }
}

