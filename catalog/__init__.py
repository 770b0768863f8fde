"""What we hold: schema, blobs, ingest, captions, history, jobs and exports."""
