"""The disk tier of caches: their folders, what is known of them, and the process that bounds
them."""
