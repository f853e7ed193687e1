"""The operator's HTTP port: /health, /ready and /metrics for machines, a status page for people."""
