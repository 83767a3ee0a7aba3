"""Processes under supervisord: start them, ask how they are, restart what hangs.

supervise    the supervisord of `mirror up`: its command and environment
supervisord  asks a running supervisord about its processes
heartbeat_file  the file that a process touches while it works
watchdog     kills what runs and no longer works, and starts it again
"""
