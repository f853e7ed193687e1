"""Accounts, usage, charges, bills and payments (TMF666, TMF635, TMF678, TMF676)."""
