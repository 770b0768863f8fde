"""The web side: pages, the REST API and accounts. `dashboard.app.create_app` makes the application."""
