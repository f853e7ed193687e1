"""Status, subscriptions, alarms and reports; a subscriber of the other cores."""
