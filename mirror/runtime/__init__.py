"""What makes a running process: signals, metrics, `/metrics` and `/healthz`.

signals      the signals that end a process
metrics      the names and meanings of all metrics
telemetry    `/metrics` and `/healthz`; serving: the small HTTP server below them
"""
