"""Photos with the captions that come along: a reader a format, and what finds and stores what they read."""
