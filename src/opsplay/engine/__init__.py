"""Model → plan → done: the engine decides in pure functions and acts in one file."""
