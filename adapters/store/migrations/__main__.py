"""`python -m adapters.store.migrations [--initial] "what changed"`: writes a new revision."""

import argparse

from adapters.store.migrations import create

parser = argparse.ArgumentParser(prog="python -m adapters.store.migrations", description=__doc__)
parser.add_argument("message", nargs="?", default="initial tables", help="what changed")
parser.add_argument("--initial", action="store_true", help="replace all revisions by one")
arguments = parser.parse_args()
create(arguments.message, initial=arguments.initial)
