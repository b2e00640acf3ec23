"""The frozen vocabulary: step, change, action, query, site, event, error. No I/O."""
