"""The parts of a running process.

process      the life of a process, the same for all programs: start, threads, health, stop
startup      the waits of a start, all within one deadline
command      the end of a command line: its one line on stderr and its exit code
signals      the signals that end a process
metrics      the names and meanings of all metrics; histograms, genesys_metrics: some of them
telemetry    `/metrics`, `/healthz`, `/livez`; serving: the small HTTP server below them
"""
