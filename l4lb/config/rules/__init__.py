"""What can be wrong between values that are each right."""
