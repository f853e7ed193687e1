"""The business cores: orders, credit, provisioning, billing, monitor. No transport at all."""
