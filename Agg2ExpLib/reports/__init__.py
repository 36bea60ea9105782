"""Reports on one patient: a page for the browser, and a document to print."""
