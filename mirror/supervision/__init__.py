"""Processes under supervisord: starting, asking for their state, restarting after a hang.

supervise    the supervisord of `mirror up`: its command and environment
supervisord  asks a running supervisord about its processes
heartbeat_file  the file that a process touches while it works
watchdog     kills hung processes and restarts those that supervisord gave up
"""
