"""Settings models, the loader with its error reports, and the default site (operator files)."""
