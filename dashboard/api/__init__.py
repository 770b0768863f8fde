"""The REST API below /api/v1: logged in by the session of the pages, errors as problem+json."""
