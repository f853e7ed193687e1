"""Product orders, parties, requests and tickets (TMF622, TMF632, TMF633, TMF621, TMF683)."""
