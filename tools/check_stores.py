"""Check that nothing is stored after a call that may run user code without a look.

A call marked `/* escapes */`, or one of a function with such a call inside, may run
Python code: other threads, finalizers, the program. It may make, end or replace what
the function has looked at. So a field that is stored after such a call must have been
looked at between the two. Those that need no look are listed below, with the reason.

Followed are the statements of a function from top to bottom: what comes around a loop,
or through a pointer that was handed on, is not seen. Stores of a constant are left out:
they mark an end, which no look makes undone.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from project_files import ROOT, report

NO_LOOK = {
    "the last to come wins, and gives up what it finds": """
        fl_future_init:self->loop fl_future_set_exception:self->exception
        fl_future_set_exception:self->exception_tb fl_handle_cancel:self->repr
        fl_source_want:self->watch.events fl_stream_wait_for_room:self->room_waiter
        fl_task_cancel:own->cancel_msg fl_transport_resume_reading:self->source.context
        fl_transport_use_protocol:self->protocol loop_set_debug:self->debug
        set_marks:self->high set_marks:self->high_bytes set_marks:self->low
        set_marks:self->low_bytes start_in_debug:self->source_tb
        stream_use_protocol:self->buffered read_start:self->wanted
        task_init:base->context task_init:base->coro task_init:base->name
        wait_for_foreign:self->base.fut_waiter wait_for_own:self->base.fut_waiter
        set_handle:slot->handle fl_loop_show_patches:state->base_version
        try_writelines:state->net.writelines_drops_false
        fl_reader_watch_want:watch->inode tls_adopt:self->base.calls
        shown:base->delegate shown:base->shown""",
    "nobody else has the object yet": """
        fl_pipe_read_make:self->is_socket fl_pipe_write_make:self->base.paused
        fl_reader_watch_want:watch->watch.events
        fl_record_made:recorded->parent fl_record_made:recorded->place
        loop_new:self->state loop_new:self->wakeup loop_new:self->birth_ns
        loop_new:self->last_step_ticks loop_new:self->tick_rate
        begin:self->handle begin:self->loop begin:self->outer begin:self->waiter
        fl_nested_make_others_wait:self->old_tasks future_for:all->loop
        shield:self->outer start_timer:self->timer take_futures:self->todo
        fl_transport_fill_extra:self->extra look_at_socket:self->address
        look_at_socket:self->has_address look_at_socket:self->is_connected
        open_signal_pair:self->signal_watch.on_ready take_task_keyword:args->eager_start
        watch_internal:watch->fd fl_timeout_entered:self->task
        fl_timeout_entered:self->cancelling""",
    "one at a time can get there": """
        iterate_inside:self->last_step_ticks iterate_recorded:self->last_step_ticks
        iterate_recorded:self->end_of_drain setup:self->last_step_ticks
        fl_current_publish:loop->stale_task fl_loop_take_wakeup_fd:self->took_wakeup_fd
        fl_aio_wait:self->iterator look_for:call->reached
        read_all_step:call->reached op_wait:self->future setup:self->thread_id
        setup:self->outer_loop end:loop->current_handle set_alarm:self->cancelling
        look_at_clock:self->clock_ticks look_at_clock:self->clock_s""",
    "what came in between has gone before": "run_watched:self->running",
    "found anew, of the same recording": """
        fl_record_look:recorded->at_poll fl_record_look:recorded->n_polls
        note_thread:of->name note_thread:of->thread""",
    "set with what was looked at": "fl_future_add_waiter:self->context0",
    "a guess, which decides nothing": "read_more:self->turns_alone",
    "a time, for who looks from outside": "init_apart:self->base.stepped",
    "assigned, as asyncio assigns that attribute": """
        aenter_start:self->base.loop aenter_start:self->entered
        aenter_start:self->parent_task aexit_after:self->on_completed
        aexit_interrupted:self->on_completed aexit_start:self->exiting
        group_init:self->base.loop group_init:self->cancel_on_enter
        group_init:self->errors group_init:self->tasks let_go:self->base_error
        let_go:self->errors raise_errors:self->errors
        wait_for_tasks:self->on_completed
        event_clear:self->value event_init:self->value give_back:self->value
        lock_init:self->waiters queue_init:self->is_shutdown
        queue_init:self->maxsize queue_init:self->unfinished semaphore_init:self->bound
        semaphore_init:self->value semaphore_init:self->waiters
        begin:self->task begin:self->when fl_timeout_enter:self->cancelling
        fl_timeout_enter:self->task set_handler:self->alarm.handle
        timeout_reschedule:self->when set_locked:self->locked set_value:self->value
        fl_stream_begin_wait:self->waiter pause_transport:self->transport
        get_complete:self->complete writer_init:self->transport
        writer_init:self->protocol writer_init:self->reader
        writer_init:self->base.loop
        reader_feed_eof:self->eof reader_init:self->base.loop reader_init:self->eof
        reader_init:self->exception reader_init:self->limit reader_init:self->paused
        reader_init:self->transport reader_init:self->waiter
        reader_set_exception:self->exception
        take_turn:self->n_left begin:self->n_left set_handle:self->alarm.handle
        take_lock:self->acquire
        start_task:self->task report:self->strong_reader
        tell_of_client:self->writer tell_of_client:self->strong_reader
        look_for_tls:self->over_ssl fl_stream_connection_made:self->transport
        fl_stream_pause_writing:self->paused fl_stream_resume_writing:self->paused
        use_reader:self->reader_wr protocol_init:self->base.loop
        protocol_init:self->paused protocol_init:self->lost
        protocol_init:self->strong_reader protocol_init:self->reject
        protocol_init:self->connected_cb protocol_init:self->over_ssl
        take_lock:self->lock take_lock:self->locked take_lock:self->release""",
}

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
FUNCTION = re.compile(
    r"^(\w+)\((?:[^;{}()]|\([^()]*\))*\)\n\{\n(.*?)^\}", re.MULTILINE | re.DOTALL
)
MARK = re.compile(r"/\*(?![^*]*\bnot escape)[^*]*\bescapes?\b")
CALL = re.compile(r"\b([a-z]\w+)\(")
FIELD = r"\b[a-z]\w*->\w+(?:(?:->|\.)\w+)*"
PLACE = rf"(?:{FIELD}|\*[a-z]\w*)"
STORE = re.compile(rf"(?:(?:^|[\s(])({FIELD})|^\s*(\*[a-z]\w*))\s*=(?!=)")
REPLACE = re.compile(rf"\bPy_X?SETREF\(\s*({PLACE})\s*,")
# What escapes of it is only what it gives up, once it has stored.
STORES_FIRST = re.compile(
    rf"\s*Py_X?SETREF\(\s*{PLACE},\s*(?:Py_X?NewRef\()?[\w>.-]+\)"
)
CONSTANT = re.compile(r"=\s*(?:\(\w+\))?(?:NULL|-?[01]|true|false|[A-Z][A-Z0-9_]+)\s*;")
ADDRESS = re.compile(r"\*([a-z]\w*)\s*=(?:[^;(]*[?:])?\s*&[a-z]\w*->")


def blanked(text: str) -> str:
    """Return C text with comments and strings made blank, place for place."""
    text = COMMENT.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    return STRING.sub(lambda m: '"' * len(m[0]), text)


def functions(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the first line, the name and the body of each function of a C file."""
    for match in FUNCTION.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match[1], match[2]


def statements(body: str) -> Iterator[tuple[int, str]]:
    """Yield (offset, text) of the pieces up to a ; { or }, with what is said behind."""
    plain, start, depth = blanked(body), 0, 0
    for place, char in enumerate(plain):
        depth += (char == "(") - (char == ")")
        if (char == ";" and depth == 0) or char in "{}":
            behind = re.match(r"[ \t]*/\*.*?\*/", body[place + 1 :], re.DOTALL)
            end = place + 1 + (behind.end() if behind else 0)
            if end > start:
                yield start, body[start:end]
                start = end


def escaping(texts: list[str]) -> set[str]:
    """Return the functions that have an escaping call inside, at any depth."""
    marked, calls = set(), {}
    for text in texts:
        for _, name, body in functions(text):
            calls[name] = set(CALL.findall(blanked(body)))
            if MARK.search(body):
                marked.add(name)
    while more := {n for n in calls if n not in marked and calls[n] & marked}:
        marked |= more
    return marked


def check_function(body: str, marked: set[str]) -> Iterator[tuple[int, str]]:
    """Yield (offset, place) of each store without a look since the last escape."""
    escaped, seen = False, set()
    local = set(ADDRESS.findall(blanked(body)))
    for offset, piece in statements(body):
        code = blanked(piece)
        escapes = bool(MARK.search(piece)) or bool(set(CALL.findall(code)) & marked)
        if escapes and not STORES_FIRST.match(code):
            escaped, seen = True, set()
        stores = {*REPLACE.findall(code), *("".join(s) for s in STORE.findall(code))}
        stores -= {s for s in stores if s[0] == "*" and s[1:] not in local}
        if escaped and not CONSTANT.search(code):
            for place in sorted(stores - seen):
                yield offset + len(code) - len(code.lstrip()), place
        if escapes:
            escaped, seen = True, set()
        else:
            seen |= {*re.findall(PLACE, STORE.sub(" ", code)), *stores}


def check_stores(csrc: Path) -> list[str]:
    """Return one line for each store below csrc that no look comes before."""
    texts = {path: path.read_text() for path in sorted(csrc.rglob("*.c"))}
    marked = escaping(list(texts.values()))
    spared = {name for listed in NO_LOOK.values() for name in listed.split()}
    found = []
    for path, text in texts.items():
        for line, name, body in functions(text):
            for offset, place in check_function(body, marked):
                if f"{name}:{place}" not in spared:
                    number = line + body.count("\n", 0, offset)
                    where = f"csrc/{path.relative_to(csrc)}:{number}"
                    found.append(f"{where}: {name} stores {place} without a look")
    return found


if __name__ == "__main__":
    sys.exit(report(check_stores(ROOT / "csrc")))
