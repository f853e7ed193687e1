"""The commands of `uip`, one module each: `add_arguments(parser)` and `run(args) -> int`."""
