"""Our six top-level packages have plain names, which another distribution could use too: see that ours are the ones found."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("gateway", "adapters", "protocols", "core", "config", "plugins")


def stray_packages() -> list[str]:
    """Say which of our packages resolves to somebody else's; empty when all is well."""
    home = Path(__file__).parent.parent.resolve()
    problems = []
    for name in PACKAGES:
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if origin != home / name / "__init__.py":
            problems.append(f"the package {name} resolves to {origin}, not to {home / name}; "
                            "install the gateway in a virtual environment or container of its own")
    return problems
