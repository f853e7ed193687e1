"""Service orders, recipes, work orders, services and resources (TMF641, TMF638, TMF639, TMF645)."""
