"""Where a fault may stay unseen, with the reason, by "file function" of the C code."""

UNSEEN = {
    f"csrc/{file} {function}": reason
    for reason, places in {
        "the loop's own method is then found by its name, as an overridden one": """
            core/ground/overrides.c fl_loop_read_overrides
            core/ground/overrides.c is_virtual_time""",
        "still ready at the next poll, which tries again": """
            core/io/source.c queue_debug  core/io/source.c source_on_ready
            core/io/reader_watch.c queue_handle""",
        "asyncio's own code then does it, and finds the words": """
            net/address.c text_of  net/address.c path_bytes
            net/socket.c is_inherited  net/socket.c is_the_modules
            net/socket.c fl_socket_class_is_plain
            net/transport/transport_receive.c is_usual
            net/sock/sock_op.c fl_sock_int  net/sock/sock_op.c fl_sock_size
            net/sock/sock_receive.c borrow_buffer
            net/sock/sock_sendfile.c attempt_sendfile
            tls/control.c bytes_of  tls/openssl.c fl_openssl_find
            py/args/args.c fl_plain_seconds""",
        "each answer is then received into an object of its own": """
            net/transport/receive.c fl_receive_buffer""",
        "the allocator goes on as it does by itself": """
            net/transport/receive.c keep_freed_memory""",
        "what it was to bring comes with the next event": """
            net/transport/receive.c fl_room_widen""",
        "connection_lost() is then called in the context of whoever ends it": """
            tls/control.c fl_tls_connection_lost""",
        "asyncio tells of connections that came to nothing in debug mode only": """
            net/listener_accepted.c connection_failed""",
        "a closed file is looked for by the very object": """
            core/io/loop_watch.c find_by_object""",
        "a pipe whose number cannot be had is one that was closed": """
            net/pipe/pipe.c fl_pipe_fd""",
        "its turn comes at once, and meets the failure": """
            core/run/loop_turns.c is_old  core/run/loop_turns.c task_of""",
        "it waits as one whose context is entered": """
            core/run/loop_turns.c fl_nested_is_entered""",
        "what nobody can hear of does not wait for others": """
            net/audit.c fl_audit_listen  net/audit.c fl_audit_add_hook""",
        "a slow step stays without a name, or is called after its type": """
            watch/slow_steps.c fl_loop_note_slow  watch/slow_steps.c tell_end
            watch/names.c qualname  watch/names.c task_of_callback""",
        "a timeline then names nothing there": """
            base/keys.c grow_keys  watch/recorder/recorder_names.c fl_recorded_add
            watch/recorder/recorder_names.c fl_record_method
            watch/recorder/recorder_loop.c unwrapped
            watch/names.c fl_callback_coroutine""",
        "the watch then answers without Python": """
            watch/hatch.c fl_hatch_answer""",
        "asyncio's own class then does it": """
            aio/lock/semaphore.c plain_value  py/args/args.c fl_plain_int
            aio/queue/queue_items.c is_plain_at_second_sight
            aio/stream/stream_writer.c writer_init
            aio/stream/stream_protocol.c protocol_init""",
        "what fails already is not made worse": """
            net/sock/sock_sendfile.c abandon_sendfile""",
        "importing: an answer that cannot be had is a no": """
            py/mirror/mirror.c succeeds  py/mirror/mirror.c refuses_bad_context
            py/mirror/mirror.c learn_behaviour  py/mirror/mirror.c probe_drop
            py/mirror/mirror.c tell_stock_types
            py/mirror/layout.c fl_layout_matches
            net/sock/sock_methods.c read_sendfile_habit""",
        "the replaced clock is then looked for at each call": """
            py/time_watch.c fl_time_watch_begin  py/time_watch.c find""",
        "memory that is not given back is kept": """
            base/timer_heap.c heap_give_back  base/ring.c fl_ring_shrink""",
        "the wake-up fd is set; there was none before": """
            core/io/loop_signals.c set_wakeup_fd""",
    }.items()
    for file, function in zip(*[iter(places.split())] * 2, strict=True)
}
