"""Run in a process that is to be asked, by sys.remote_exec(), whenever it comes to it.

By its path, in a namespace of its own: so it has to say what it is about in full.
"""

__import__("fastloop._watch")._watch.watch_quietly()
