"""Files that deployments start from: supervisord.conf, units, dashboards, examples.

A package only so that an installed wheel carries them: `importlib.resources.files("deploy")`
finds them there and in a checkout alike. Promises no code.
"""
