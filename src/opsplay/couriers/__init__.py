"""Couriers between machines. The queue is disposable: the journal knows what is to be done."""
