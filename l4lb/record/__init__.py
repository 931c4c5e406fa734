"""Recordings of chosen HTTP requests and answers: put together from what workers copy, masked, and
kept in a bounded folder."""
