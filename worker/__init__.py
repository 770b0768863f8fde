"""Celery workers: claim chunks, run the captioner, record what it wrote."""
