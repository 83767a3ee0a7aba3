"""What makes a running process.

process      the life of a process, the same for all programs: start, threads, health, stop
startup      the waits of a start, all within one deadline
command      how a command line ends: its one line on stderr and its exit code
signals      the signals that end a process
metrics      the names and meanings of all metrics
telemetry    `/metrics`, `/healthz`, `/livez`; serving: the small HTTP server below them
"""
