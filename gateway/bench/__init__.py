"""Measuring a running gateway: closed-loop load by each protocol, and the same load on named floors in the same run."""
