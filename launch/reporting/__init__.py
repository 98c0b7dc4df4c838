"""The report of a run: facts, figures and the HTML page."""
