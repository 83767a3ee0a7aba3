"""What every other package stands on: errors, logs, health, text that is safe to show, units.

errors       the tree of errors, each with its exit code
log, sink    JSON log lines, written by a thread of their own
health       ok, degraded or down, with reasons
redact       secrets taken out of text; printable: text from outside made safe for a terminal
ascii_fallback  characters that a terminal cannot show, replaced
thread_watch which background thread of a process hangs
tls          why TLS failed, in words
units        durations and sizes as people write them
"""
