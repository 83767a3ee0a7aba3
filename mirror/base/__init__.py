"""Ground floor, used by all other packages: errors, logs, health, safe text, units.

errors       the tree of errors, each with its exit code
log, sink    JSON log lines, written by a thread of their own
health       ok, degraded or down, with reasons
redact       removes secrets from text; printable: makes text from outside safe for a terminal
ascii_fallback  replaces characters that a terminal cannot show
bounded      calls of foreign libraries, with a deadline that holds
side_by_side several blocking calls at the same time
thread_watch finds a background thread that hangs
tls          why TLS failed, in words
extras       what needs an optional package, and how to install it
tally        histograms of durations (pure)
units        durations and sizes as people write them
"""
