"""The running service: command line, composition root, sessions, dispatch, admission, console."""
