"""From the journal's events to what people and programs read: terminal, JSON, pictures."""
