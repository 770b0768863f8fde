"""Decode untrusted pictures safely: open, orient, measure, hash, make renditions. Imports no other room."""
